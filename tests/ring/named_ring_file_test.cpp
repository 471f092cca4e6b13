// SPDX-License-Identifier: MIT
//
// The file of a named ring: what is seen of it from outside, what may be wrong with it, and whose it is.
#include "named_ring_place.hpp"

#include "io/files_used_up.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::test;
using namespace weir::test::named;
using namespace std::chrono_literals;

using ipc::NamedByteRingReader;
using ipc::NamedByteRingWriter;
using ipc::NamedRingReader;

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

}  // namespace

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
        CHECK_IN_TASK((code_of(odd) == Errc::invalid && odd.error().a == 3));
        const auto huge = Writer::open(of, "huge", place.slots(1U << 30));
        CHECK_IN_TASK(code_of(huge) == Errc::too_large);
        const auto tiny = NamedByteRingWriter::open(of, "tiny", place.bytes(32));
        CHECK_IN_TASK((code_of(tiny) == Errc::invalid && tiny.error().a == 32));
    });
}

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
