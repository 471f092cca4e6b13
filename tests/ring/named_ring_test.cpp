// SPDX-License-Identifier: MIT
//
// Named rings with both sides in one scheduler, and what may be wrong with their files.
#include <weir/ipc/ring/named_ring.hpp>

#include "io/files_used_up.hpp"
#include "io/running.hpp"
#include "io/temporary_directory.hpp"
#include "io/victim.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::NamedByteRingReader;
using ipc::NamedByteRingWriter;
using ipc::NamedRingReader;
using ipc::NamedRingWriter;

struct Reading {
    std::uint64_t number;
    std::int32_t value;
    std::uint32_t sensor;
};
constexpr ipc::RingName name{"log/readings"};

struct Place {
    Place() : directory(*ipc::RuntimeDirectory::at(temporary.path())) {}
    [[nodiscard]] ipc::NamedRingOptions slots(std::uint32_t count) const {
        return {.slots = count, .access = {.directory = &directory}};
    }
    [[nodiscard]] ipc::NamedByteRingOptions bytes(std::uint32_t count) const {
        return {.bytes = count, .access = {.directory = &directory}};
    }
    [[nodiscard]] std::string file() const { return temporary / "log~readings.ring"; }
    [[nodiscard]] std::vector<std::string> files() const {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(temporary.path()))
            found.push_back(entry.path().filename());
        std::sort(found.begin(), found.end());
        return found;
    }
    TemporaryDirectory temporary;
    ipc::RuntimeDirectory directory;
};

template <class Body>
void on_each(Body body) {
    for_each_seed([&](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run(body(*running, place));
        CHECK(running->usage().links == 0);
    });
}

// Without deadlines, since what has arrived wins over one: whoever is not woken waits for ever.
Task<> put(Scheduler&, NamedRingWriter<Reading>& ring, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve());
        *slot = {.number = i, .value = static_cast<std::int32_t>(i) * 3, .sensor = 7};
        slot.commit();
    }
}
Task<> expect(Scheduler&, NamedRingReader<Reading>& ring, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto item, ring.next());
        CHECK_IN_TASK(item->number == i);
        CHECK_IN_TASK(item->value == static_cast<std::int32_t>(i) * 3);
    }
}

using Writer = NamedRingWriter<Reading>;
using Reader = NamedRingReader<Reading>;

}  // namespace

TEST_CASE("records come out in order, whichever side is slower") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto writer, Writer::open(of, name, place.slots(8)));
        WEIR_CO_TRY(auto reader, Reader::open(of, name, place.slots(8)));
        CHECK_IN_TASK(writer.has_reader());
        CHECK_IN_TASK(reader.has_writer());
        const auto both = co_await all_of(put(of, writer, 0, 1'000), expect(of, reader, 0, 1'000));
        CHECK_IN_TASK(both.has_value());
        WEIR_CO_CHECK(writer.drained());
        CHECK_IN_TASK(writer.fill() == 0);
    });
}

TEST_CASE("what was committed and not released is there for whoever comes next, on either side") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        {
            WEIR_CO_TRY(auto writer, Writer::open(of, name, place.slots(16)));
            CHECK_IN_TASK(!writer.has_reader());
            CHECK_IN_TASK((writer.generation() == 0 && writer.position() == 0));
            WEIR_CO_CHECK(put(of, writer, 0, 10));
            WEIR_CO_TRY(auto unfinished, writer.reserve());
            unfinished->number = 99;
            unfinished.abandon();
        }
        {
            WEIR_CO_TRY(auto reader, Reader::open(of, name, place.slots(0)));
            CHECK_IN_TASK(reader.slots() == 16);
            WEIR_CO_CHECK(expect(of, reader, 0, 4));
            WEIR_CO_TRY(auto read, reader.next());
            CHECK_IN_TASK(read->number == 4);
            read.defer();  // and not released before the reader ends
        }
        WEIR_CO_CHECK(yield());
        WEIR_CO_TRY(auto reader, Reader::open(of, name, place.slots(0)));
        CHECK_IN_TASK((reader.generation() == 1 && reader.position() == 4));
        WEIR_CO_CHECK(expect(of, reader, 4, 10));
        const auto empty = co_await reader.next().within(1ms);
        CHECK_IN_TASK(code_of(empty) == Errc::timed_out);
        WEIR_CO_TRY(auto writer, Writer::open(of, name, place.slots(16)));
        CHECK_IN_TASK((writer.generation() == 1 && writer.position() == 10));
        const auto both = co_await all_of(put(of, writer, 10, 100), expect(of, reader, 10, 100));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("a reader that sleeps is woken by a writer that comes, and by one that comes after that one") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto reader, Reader::open(of, name, place.slots(4)));
        const auto writers = [](Scheduler& in, const Place& where) -> Task<> {
            for (std::uint64_t i = 0; i < 3; ++i) {
                WEIR_CO_CHECK(sleep_for(3ms));
                WEIR_CO_TRY(auto writer, Writer::open(in, name, where.slots(4)));
                WEIR_CO_CHECK(sleep_for(3ms));
                WEIR_CO_CHECK(put(in, writer, i, i + 1));
                WEIR_CO_CHECK(sleep_for(3ms));
            }
        };
        const auto both = co_await all_of(expect(of, reader, 0, 3), writers(of, place));
        CHECK_IN_TASK(both.has_value());
        CHECK_IN_TASK(reader.sleeps() > 0);
    });
}

TEST_CASE("a writer that sleeps for space is woken by a reader that comes, and by one that comes after it") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto writer, Writer::open(of, name, place.slots(2)));
        WEIR_CO_CHECK(put(of, writer, 0, 2));
        const auto full = co_await writer.reserve().within(1ms);
        CHECK_IN_TASK(code_of(full) == Errc::timed_out);
        const auto not_now = writer.try_reserve();
        CHECK_IN_TASK(code_of(not_now) == Errc::would_block);
        const auto readers = [](Scheduler& in, const Place& where) -> Task<> {
            for (std::uint64_t i = 0; i < 3; ++i) {
                WEIR_CO_CHECK(sleep_for(3ms));
                WEIR_CO_TRY(auto reader, Reader::open(in, name, where.slots(2)));
                WEIR_CO_CHECK(sleep_for(3ms));
                WEIR_CO_CHECK(expect(in, reader, i, i + 1));
                WEIR_CO_CHECK(sleep_for(3ms));
            }
        };
        const auto both = co_await all_of(put(of, writer, 2, 5), readers(of, place));
        CHECK_IN_TASK(both.has_value());
        CHECK_IN_TASK(writer.sleeps() > 0);
        const auto stays = co_await writer.drained().within(1ms);
        CHECK_IN_TASK(code_of(stays) == Errc::timed_out);
    });
}

TEST_CASE("records of bytes of any length come out whole, over many laps and restarts") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        constexpr std::uint32_t ring_bytes = 256;
        const auto size_of = [](std::uint32_t i) { return i * 29 % 121; };
        const auto write = [](Scheduler& in, const Place& where, decltype(size_of) size) -> Task<> {
            NamedByteRingWriter ring;
            for (std::uint32_t i = 0; i < 300; ++i) {
                if (i % 50 == 0) {
                    ring.close();
                    WEIR_CO_CHECK(yield());
                    WEIR_CO_TRY(ring, NamedByteRingWriter::open(in, name, where.bytes(ring_bytes)));
                }
                WEIR_CO_TRY(auto record, ring.reserve(size(i)).within(10s));
                std::memset(record.bytes().data(), static_cast<int>(i & 0xff), record.bytes().size());
                record.commit();
            }
            CHECK_IN_TASK(ring.record_size_max() == 120);
            const auto too_large = co_await ring.reserve(121);
            CHECK_IN_TASK(code_of(too_large) == Errc::too_large);
            WEIR_CO_CHECK(ring.drained().within(10s));
        };
        const auto read = [](Scheduler& in, const Place& where, decltype(size_of) size) -> Task<> {
            NamedByteRingReader ring;
            for (std::uint32_t i = 0; i < 300; ++i) {
                if (i % 70 == 0) {
                    ring.close();
                    WEIR_CO_CHECK(yield());
                    WEIR_CO_TRY(ring, NamedByteRingReader::open(in, name, where.bytes(ring_bytes)));
                }
                WEIR_CO_TRY(auto record, ring.next().within(10s));
                CHECK_IN_TASK(record.bytes().size() == size(i));
                const auto wrong = std::count_if(record.bytes().begin(), record.bytes().end(),
                                                 [&](std::byte byte) { return byte != std::byte(i & 0xff); });
                CHECK_IN_TASK(wrong == 0);
            }
        };
        const auto both = co_await all_of(write(of, place, size_of), read(of, place, size_of));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("batches, and records that are told of later") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto writer, Writer::open(of, name, place.slots(8)));
        WEIR_CO_TRY(auto reader, Reader::open(of, name, place.slots(8)));
        {
            WEIR_CO_TRY(auto some, writer.reserve_some(5));
            CHECK_IN_TASK(some.size() == 5);
            for (std::uint32_t i = 0; i < 5; ++i) some[i] = {.number = i, .value = 0, .sensor = 0};
            some.commit();
        }
        {
            WEIR_CO_TRY(auto slot, writer.reserve());
            slot->number = 5;
            slot.defer();
        }
        {
            WEIR_CO_TRY(auto some, reader.next_some(16));
            CHECK_IN_TASK(some.size() == 5);
            CHECK_IN_TASK(some[4].number == 4);
        }
        const auto not_yet = reader.try_next();
        CHECK_IN_TASK(code_of(not_yet) == Errc::would_block);
        writer.commit();
        WEIR_CO_TRY(auto last, reader.next());
        CHECK_IN_TASK(last->number == 5);
    });
}

TEST_CASE("a stop ends a wait, an end that is closed says so, and one that moved goes on") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto opened, Reader::open(of, name, place.slots(4)));
        Reader reader = std::move(opened);
        const auto first = co_await first_of(reader.next(), sleep_for(2ms));
        CHECK_IN_TASK(first.index() == 1);
        const auto waits_twice = [](Scheduler&, Reader& ring) -> Task<> {
            const auto busy = co_await ring.next();
            CHECK_IN_TASK(code_of(busy) == Errc::busy);
        };
        const auto either = co_await first_of(reader.next(), waits_twice(of, reader));
        CHECK_IN_TASK(either.index() == 1);
        Writer writer;
        const auto closed = co_await writer.reserve();
        CHECK_IN_TASK(code_of(closed) == Errc::closed);
        CHECK_IN_TASK(!writer.has_reader());
        WEIR_CO_TRY(writer, Writer::open(of, name, place.slots(4)));
        Writer moved = std::move(writer);
        const auto both = co_await all_of(put(of, moved, 0, 20), expect(of, reader, 0, 20));
        CHECK_IN_TASK(both.has_value());
        moved.close();
        const auto after = moved.try_reserve();
        CHECK_IN_TASK(code_of(after) == Errc::closed);
    });
}

TEST_CASE("each side is one process's at a time, and a rival is told whose") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto writer, Writer::open(of, name, place.slots(4)));
        const auto writes_too = Writer::open(of, name, place.slots(4));
        CHECK_IN_TASK(code_of(writes_too) == Errc::in_use);
        CHECK_IN_TASK(writes_too.error().a == static_cast<std::uint64_t>(::getpid()));
        WEIR_CO_TRY(auto reader, Reader::open(of, name, place.slots(4)));
        const auto reads_too = Reader::open(of, name, place.slots(4));
        CHECK_IN_TASK(code_of(reads_too) == Errc::in_use);
        const auto removed = ipc::remove_named_ring(place.directory, name);
        CHECK_IN_TASK(code_of(removed) == Errc::in_use);
        writer.close();
        const auto by_reader = ipc::remove_named_ring(place.directory, name);
        CHECK_IN_TASK(code_of(by_reader) == Errc::in_use);
        WEIR_CO_CHECK(yield());
        WEIR_CO_TRY(writer, Writer::open(of, name, place.slots(4)));
    });
}

TEST_CASE("a ring is seen from outside, and removed with all that belongs to it") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto absent = ipc::named_ring_stat(place.directory, name);
        CHECK_IN_TASK(code_of(absent) == Errc::not_found);
        const auto nothing = ipc::remove_named_ring(place.directory, name);
        CHECK_IN_TASK(code_of(nothing) == Errc::not_found);
        const auto unknown = Reader::open(of, name, place.slots(0));
        CHECK_IN_TASK(code_of(unknown) == Errc::not_found);
        {
            WEIR_CO_TRY(auto writer, Writer::open(of, name, place.slots(8)));
            WEIR_CO_CHECK(put(of, writer, 0, 3));
            WEIR_CO_TRY(const auto stat, ipc::named_ring_stat(place.directory, name));
            CHECK_IN_TASK(stat.units == 8);
            CHECK_IN_TASK(stat.record_size == sizeof(Reading));
            CHECK_IN_TASK(stat.fill() == 3);
            CHECK_IN_TASK(stat.uid == ::geteuid());
            CHECK_IN_TASK((stat.writer.held && stat.writer.generation == 1));
            CHECK_IN_TASK(stat.writer.pid == static_cast<std::uint32_t>(::getpid()));
            CHECK_IN_TASK((!stat.reader.held && stat.reader.generation == 0));
            const HeapPermit permit;
            CHECK(mode_of(place.file()) == 0600);
            CHECK(place.files() == std::vector<std::string>{"log~readings.ring", "log~readings.ring.items",
                                                            "log~readings.ring.space"});
        }
        WEIR_CO_CHECK(ipc::remove_named_ring(place.directory, name));
        const HeapPermit permit;
        CHECK(place.files().empty());
    });
}

TEST_CASE("a ring of another shape is a mismatch, with both values") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        { WEIR_CO_TRY(auto writer, Writer::open(of, name, place.slots(8))); }
        WEIR_CO_CHECK(yield());
        const auto depth = Writer::open(of, name, place.slots(16));
        CHECK_IN_TASK(code_of(depth) == Errc::mismatch);
        CHECK_IN_TASK((depth.error().a == 16 && depth.error().b == 8));
        const auto size = NamedRingReader<std::uint64_t>::open(of, name, place.slots(8));
        CHECK_IN_TASK(code_of(size) == Errc::mismatch);
        CHECK_IN_TASK((size.error().a == 8 && size.error().b == sizeof(Reading)));
        struct alignas(16) Other {
            std::uint64_t one, two;
        };
        const auto layout = NamedRingReader<Other>::open(of, name, place.slots(8));
        CHECK_IN_TASK(code_of(layout) == Errc::mismatch);
        const auto bytes = NamedByteRingReader::open(of, name, place.bytes(0));
        CHECK_IN_TASK(code_of(bytes) == Errc::mismatch);
        const auto odd = Writer::open(of, "odd", place.slots(3));
        CHECK_IN_TASK(code_of(odd) == Errc::invalid);
        const auto huge = Writer::open(of, "huge", place.slots(1U << 30));
        CHECK_IN_TASK(code_of(huge) == Errc::too_large);
        const auto tiny = NamedByteRingWriter::open(of, "tiny", place.bytes(32));
        CHECK_IN_TASK(code_of(tiny) == Errc::invalid);
    });
}

namespace {

/// What opening either side comes to after `damage` was done to a ring with three records; nothing if it opens.
std::optional<Errc> opened_after(const std::function<void(const Place&)>& damage) {
    const Place place;
    Running running;
    std::optional<Errc> reads;
    std::optional<Errc> writes;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        WEIR_CO_TRY(auto writer, Writer::open(of, name, where.slots(512)));
        WEIR_CO_CHECK(put(of, writer, 0, 3));
    }(*running, place));
    damage(place);
    running.must_run([](Scheduler& of, const Place& where, std::optional<Errc>& read,
                        std::optional<Errc>& written) -> Task<> {
        {
            const auto reader = Reader::open(of, name, where.slots(512));
            read = code_of(reader);
        }
        const auto writer = Writer::open(of, name, where.slots(512));
        written = code_of(writer);
        co_return;
    }(*running, place, reads, writes));
    CHECK(reads == writes);
    const auto removed = ipc::remove_named_ring(place.directory, name);
    CHECK(removed.has_value());
    return reads;
}

void overwrite(const std::string& path, std::size_t offset, const std::string& bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    REQUIRE(file.good());
}

}  // namespace

TEST_CASE("a ring that was cut off, filled up or damaged is refused, and can be removed") {
    CHECK(opened_after([](const Place&) {}) == std::nullopt);
    const auto resized = [](std::uintmax_t size) {
        return [=](const Place& place) { std::filesystem::resize_file(place.file(), size); };
    };
    CHECK(opened_after(resized(0)) == Errc::corrupt);
    CHECK(opened_after(resized(71)) == Errc::corrupt);
    CHECK(opened_after(resized(1024)) == Errc::mismatch);
    CHECK(opened_after(resized(4096)) == Errc::mismatch);
    CHECK(opened_after(resized(1 << 20)) == Errc::mismatch);
    CHECK(opened_after([](const Place& place) {
              const auto size = std::filesystem::file_size(place.file());
              std::filesystem::resize_file(place.file(), 1024);
              std::filesystem::resize_file(place.file(), size);
          }) == Errc::corrupt);  // holes
    CHECK(opened_after([](const Place& place) { overwrite(place.file(), 0, "garbage!"); }) ==
          Errc::wrong_kind);
    CHECK(opened_after([](const Place& place) { overwrite(place.file(), 8, "\x02"); }) == Errc::mismatch);
    // Any byte of the head.
    for (std::size_t i = 12; i < 72; ++i) {
        INFO("byte " << i);
        CHECK(opened_after([=](const Place& place) {
                  std::ifstream file(place.file(), std::ios::binary);
                  file.seekg(static_cast<std::streamoff>(i));
                  const auto there = static_cast<char>(file.get());
                  overwrite(place.file(), i, std::string(1, static_cast<char>(there ^ 0x40)));
              }) == Errc::corrupt);
    }
    // The cursors: a writer that is more than a lap ahead, or behind.
    CHECK(opened_after([](const Place& place) {
              overwrite(place.file(), 384, std::string("\x01\x02\0\0", 4));
          }) == Errc::corrupt);
    CHECK(opened_after([](const Place& place) {
              overwrite(place.file(), 640, std::string("\x04\0\0\0", 4));
          }) == Errc::corrupt);
    CHECK(opened_after([](const Place& place) { std::filesystem::remove(place.file() + ".items"); }) ==
          Errc::corrupt);
    CHECK(opened_after([](const Place& place) {
              std::filesystem::remove(place.file() + ".space");
              std::ofstream(place.file() + ".space") << "x";
          }) == Errc::wrong_kind);
}

TEST_CASE("what is no ring is left alone") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto code = [&] { return code_of(Writer::open(of, name, place.slots(4))); };
        const auto make = [&](auto function) {
            const HeapPermit permit;
            std::filesystem::remove_all(place.file());
            function(place.file());
        };
        make([](const std::string& path) { std::filesystem::create_directory(path); });
        CHECK_IN_TASK(code() == Errc::wrong_kind);
        make([](const std::string& path) { std::filesystem::create_symlink("elsewhere", path); });
        CHECK_IN_TASK(code() == Errc::wrong_kind);
        make([](const std::string& path) { ::mkfifo(path.c_str(), 0600); });
        CHECK_IN_TASK(code() == Errc::wrong_kind);
        make([](const std::string& path) { std::ofstream(path) << std::string(4096, 'x'); });
        CHECK_IN_TASK(code() == Errc::wrong_kind);
        const HeapPermit permit;
        CHECK(std::filesystem::file_size(place.file()) == 4096);
        co_return;
    });
}

TEST_CASE("a record that is none makes its reader stop") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto writer, NamedByteRingWriter::open(of, name, place.bytes(64)));
        WEIR_CO_TRY(auto reader, NamedByteRingReader::open(of, name, place.bytes(64)));
        {
            WEIR_CO_TRY(auto record, writer.reserve(8));
            record.commit();
        }
        {
            const HeapPermit permit;
            overwrite(place.file(), 1024, "\xff");
        }
        const auto broken = co_await reader.next();
        CHECK_IN_TASK(code_of(broken) == Errc::corrupt);
        const auto still = co_await reader.next();
        CHECK_IN_TASK(code_of(still) == Errc::corrupt);
    });
}

TEST_CASE("a file system that is full refuses a ring, and nothing is left of it") {
    if (::geteuid() != 0) skip("needs root to mount a small file system");
    if (on_simulated()) skip("mounts are made once, on a real backend");
    const Place place;
    const auto end = run_in_child([&] {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
        if (::mount("weir", place.temporary.path().c_str(), "tmpfs", 0, "size=64k") != 0) return 77;
        Running running;
        const auto large = Writer::open(*running, name, place.slots(1U << 16));
        if (code_of(large) != Errc::no_memory) return 1;
        if (large.error().a < sizeof(Reading) << 16U) return 2;
        if (!place.files().empty()) return 3;
        const auto small = Writer::open(*running, name, place.slots(64));
        return small ? 0 : 4;
    });
    if (end.exit_status == 77) skip("this sandbox lets nobody mount");
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("a ring beyond RLIMIT_FSIZE is refused without the signal that the kernel would send") {
    const Place place;
    const auto end = run_in_child([&] {
        Running running;
        const rlimit limit{.rlim_cur = 65'536, .rlim_max = 65'536};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const auto large = Writer::open(*running, name, place.slots(1U << 16));
        if (code_of(large) != Errc::too_large || large.error().b != 65'536) return 1;
        return place.files().empty() ? 0 : 2;
    });
    CHECK(end.signal == 0);
    CHECK(end.exit_status == 0);
}

TEST_CASE("without enough descriptors a ring is neither made nor opened, and nothing is left of it") {
    const auto tries = [](const Place& place, bool made_before) {
        Running running;
        if (made_before && !Writer::open(*running, name, place.slots(4))) return 1;
        const auto files = place.files();
        int refused = 0;
        for (int spare = 0;; ++spare) {
            const FilesUsedUp few(spare);
            const auto ring = Writer::open(*running, name, place.slots(4));
            if (ring) break;
            if (ring.error() != Errc::no_files) return 2;
            ++refused;
        }
        if (!made_before && !files.empty()) return 3;
        // The file, its two bells, and for a moment what says when the machine started.
        if (refused != 3) return 4;
        return Reader::open(*running, name, place.slots(4)) ? 0 : 5;
    };
    for (const bool made_before : {false, true}) {
        const Place place;
        const auto end = run_in_child([&] { return tries(place, made_before); });
        INFO("made before " << made_before << ' ' << end.errors);
        CHECK(end.exit_status == 0);
    }
}

TEST_CASE("a side that finds no peer and has no descriptor to wait with says so, and waits when it has one") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto reader, Reader::open(of, name, place.slots(4)));
        {
            const FilesUsedUp none;
            const auto waited = co_await reader.next().within(1s);
            CHECK_IN_TASK(code_of(waited) == Errc::no_files);
        }
        const auto waited = co_await reader.next().within(1ms);
        CHECK_IN_TASK(code_of(waited) == Errc::timed_out);
        WEIR_CO_TRY(auto writer, Writer::open(of, name, place.slots(4)));
        const FilesUsedUp none;
        const auto both = co_await all_of(put(of, writer, 0, 20), expect(of, reader, 0, 20));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("owner, group and mode of a ring are exact, and a member of its group may use it") {
    if (::geteuid() != 0) skip("needs root to become another user");
    constexpr gid_t group = 61'234;
    constexpr uid_t user = 61'235;
    const Place place;
    Running running;
    ipc::NamedRingOptions options = place.slots(8);
    options.access.mode = 0660;
    options.access.group = group;
    { REQUIRE(Writer::open(*running, name, options).has_value()); }
    for (const char* const suffix : {"", ".items", ".space"}) {
        const std::string path = place.file() + suffix;
        CHECK(mode_of(path) == 0660);
        struct stat status {};
        REQUIRE(::stat(path.c_str(), &status) == 0);
        CHECK(status.st_gid == group);
    }
    const auto opens = [&] {
        Running other;
        const auto reader = Reader::open(*other, name, place.slots(8));
        if (reader) return 0;
        return reader.error() == Errc::denied ? 2 : 1;
    };
    CHECK(run_unprivileged(opens, user, group).exit_status == 0);
    CHECK(run_unprivileged(opens, user, user).exit_status == 2);
}

TEST_CASE("a ring that another user made is opened only by who trusts that user") {
    if (::geteuid() != 0) skip("needs root to become another user");
    const Place place;
    const auto makes = [&] {
        Running other;
        return Writer::open(*other, name, place.slots(8)) ? 0 : 1;
    };
    REQUIRE(run_unprivileged(makes).exit_status == 0);
    Running running;
    const auto refused = Reader::open(*running, name, place.slots(8));
    REQUIRE(code_of(refused) == Errc::denied);
    CHECK(refused.error().a == nobody_uid);
    ipc::NamedRingOptions options = place.slots(8);
    options.access.owner = nobody_uid;
    CHECK(Reader::open(*running, name, options).has_value());
}

// --- with other processes

namespace {

// Stores a record and dies before it rings.
Task<> store_and_die(Scheduler&, const Place& place, int say_to, int listen_to) {
    auto shape = ipc::ring_shape_of<Reading>(4);
    WEIR_CO_TRY(auto file, ipc::NamedRingFile::open(name, shape, ipc::RingSide::writer,
                                                    {.directory = &place.directory}));
    file.ring();  // as each does once when it comes
    say(say_to);
    WEIR_CO_CHECK(readable(listen_to));
    const Reading reading{.number = 0, .value = 0, .sensor = 0};
    std::memcpy(file.data(), &reading, sizeof(reading));
    file.own().cursor.store(1);
    ::kill(::getpid(), SIGKILL);
}

Task<> hold_writer(Scheduler& scheduler, const Place& place, int say_to) {
    WEIR_CO_TRY(auto writer, Writer::open(scheduler, name, place.slots(4)));
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

/// Says so when it has opened the ring, and when it has `count` records.
Task<> read_and_say(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    WEIR_CO_TRY(auto reader, Reader::open(scheduler, name, place.slots(4)));
    say(say_to);
    WEIR_CO_CHECK(expect(scheduler, reader, 0, count));
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}
Task<> write_and_stay(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    WEIR_CO_TRY(auto writer, Writer::open(scheduler, name, place.slots(4)));
    say(say_to);
    WEIR_CO_CHECK(put(scheduler, writer, 0, count));
    WEIR_CO_CHECK(sleep_for(1h));
}

}  // namespace

TEST_CASE(
    "a side that is stopped keeps its lock, and the other one waits within its deadlines and loses nothing") {
    skip_where_simulated();
    const Place place;
    {
        Victim reader([&](Scheduler& in, int say_to) { return read_and_say(in, place, 40, say_to); });
        reader.wait_until_it_says();
        Running running;
        running.must_run([](Scheduler& of, const Place& where, Victim& victim) -> Task<> {
            WEIR_CO_TRY(auto writer, Writer::open(of, name, where.slots(4)));
            victim.stop();
            WEIR_CO_CHECK(put(of, writer, 0, 4));
            const auto full = co_await writer.reserve().within(5ms);
            CHECK_IN_TASK(code_of(full) == Errc::timed_out);
            CHECK_IN_TASK(writer.has_reader());
            const auto rival = Reader::open(of, name, where.slots(4));
            CHECK_IN_TASK(code_of(rival) == Errc::in_use);
            CHECK_IN_TASK((!rival && rival.error().a == static_cast<std::uint64_t>(victim.pid())));
            victim.go_on();
            WEIR_CO_CHECK(put(of, writer, 4, 40));
            WEIR_CO_CHECK(readable(victim.told()).within(30s));
        }(*running, place, reader));
        reader.wait_until_it_says();
    }
    REQUIRE(ipc::remove_named_ring(place.directory, name).has_value());
    Victim writer([&](Scheduler& in, int say_to) { return write_and_stay(in, place, 40, say_to); });
    writer.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& victim) -> Task<> {
        WEIR_CO_TRY(auto reader, Reader::open(of, name, where.slots(4)));
        victim.stop();
        std::uint64_t next = 0;
        for (bool empty = false; !empty;) {
            const auto item = co_await reader.next().within(5ms);
            empty = code_of(item) == Errc::timed_out;
            if (!empty) CHECK_IN_TASK((item && (*item)->number == next++));
        }
        CHECK_IN_TASK((next <= 8 && reader.has_writer()));
        victim.go_on();
        WEIR_CO_CHECK(expect(of, reader, next, 40));
    }(*running, place, writer));
}

TEST_CASE("a reader that sleeps is woken by the death of a writer that had stored something and not rung") {
    skip_where_simulated();
    const Place place;
    int go[2];
    REQUIRE(::pipe(go) == 0);
    Victim victim([&](Scheduler& in, int say_to) { return store_and_die(in, place, say_to, go[0]); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, int tell) -> Task<> {
        WEIR_CO_TRY(auto reader, Reader::open(of, name, where.slots(4)));
        const auto lets_it = [](Scheduler&, Reader& ring, int fd) -> Task<> {
            while (ring.sleeps() == 0) WEIR_CO_CHECK(sleep_for(1ms));
            WEIR_CO_CHECK(sleep_for(5ms));
            say(fd);
        };
        const auto waits = [](Scheduler& in, Reader& ring) -> Task<> {
            // A deadline's last look would find the record, too: it must have been found before.
            const auto first = co_await first_of(expect(in, ring, 0, 1), sleep_for(8s));
            CHECK_IN_TASK(first.index() == 0);
        };
        const auto both = co_await all_of(waits(of, reader), lets_it(of, reader, tell));
        CHECK_IN_TASK(both.has_value());
        while (reader.has_writer()) WEIR_CO_CHECK(sleep_for(1ms));
        // It sleeps again, and the next writer wakes it.
        WEIR_CO_TRY(auto writer, Writer::open(of, name, where.slots(4)));
        CHECK_IN_TASK((writer.generation() == 1 && writer.position() == 1));
        const auto again = co_await all_of(expect(of, reader, 1, 3), put(of, writer, 1, 3));
        CHECK_IN_TASK(again.has_value());
    }(*running, place, go[1]));
    ::close(go[0]);
    ::close(go[1]);
}

TEST_CASE("a side that another process has is told with its pid, and free when that one is killed") {
    skip_where_simulated();
    const Place place;
    Victim holder([&](Scheduler& in, int say_to) { return hold_writer(in, place, say_to); });
    holder.wait_until_it_says();
    const auto pid = static_cast<std::uint64_t>(holder.pid());
    Running running;
    const auto rival = Writer::open(*running, name, place.slots(4));
    REQUIRE(code_of(rival) == Errc::in_use);
    CHECK(rival.error().a == pid);
    const auto removed = ipc::remove_named_ring(place.directory, name);
    REQUIRE(code_of(removed) == Errc::in_use);
    CHECK(removed.error().a == pid);
    holder.kill();
    CHECK(Writer::open(*running, name, place.slots(4)).has_value());
}

TEST_CASE("of processes that make a ring at the same time one gets it, and the others are told which") {
    skip_where_simulated();
    for (int round = 0; round < 5; ++round) {
        const Place place;
        constexpr std::size_t count = 6;
        int start[2];
        int done[2];
        REQUIRE((::pipe(start) == 0 && ::pipe(done) == 0));
        std::array<pid_t, count> children{};
        for (pid_t& child : children) {
            child = ::fork();
            REQUIRE(child >= 0);
            if (child != 0) continue;
            ::close(start[1]);
            ::close(done[0]);
            Running running;
            char none = 0;
            if (::read(start[0], &none, 1) != 0) ::_exit(9);  // all at once, when the writing end closes
            const auto writer = Writer::open(*running, name, place.slots(4));
            std::int64_t result = 0;  // it is ours; else its pid, or -1
            if (!writer)
                result = writer.error() == Errc::in_use ? static_cast<std::int64_t>(writer.error().a) : -1;
            if (::write(done[1], &result, sizeof(result)) != sizeof(result)) ::_exit(9);
            for (;;) ::pause();
        }
        ::close(start[0]);
        ::close(start[1]);
        std::vector<std::int64_t> holders;
        std::size_t got = 0;
        for (std::size_t i = 0; i < count; ++i) {
            std::int64_t result = -2;
            REQUIRE(::read(done[0], &result, sizeof(result)) == sizeof(result));
            if (result == 0)
                ++got;
            else
                holders.push_back(result);
        }
        CHECK(got == 1);
        for (const std::int64_t holder : holders) CHECK(holder == holders.front());
        CHECK(std::find(children.begin(), children.end(), static_cast<pid_t>(holders.front())) !=
              children.end());
        for (const pid_t child : children) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
        ::close(done[0]);
        ::close(done[1]);
        CHECK(ipc::remove_named_ring(place.directory, name).has_value());
        CHECK(place.files().empty());
    }
}
