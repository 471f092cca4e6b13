// SPDX-License-Identifier: MIT
//
// Named rings with both sides in one scheduler.
#include "named_ring_place.hpp"

#include "io/files_used_up.hpp"

#include <cstring>

using namespace weir;
using namespace weir::test;
using namespace weir::test::named;
using namespace std::chrono_literals;

using ipc::NamedByteRingReader;
using ipc::NamedByteRingWriter;

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
