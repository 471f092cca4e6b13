// SPDX-License-Identifier: MIT
//
// Both ends of a ring in one scheduler.
#include "ring_place.hpp"

#include "io/running.hpp"

#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::ByteRingReader;
using ipc::ByteRingWriter;
using ipc::LinkTrust;
using ipc::RingReader;
using ipc::RingWriter;

struct alignas(ipc::ring_record_alignment_max) Aligned {
    std::uint32_t number;
    std::array<std::uint32_t, 15> reserved{};
};
struct alignas(2 * ipc::ring_record_alignment_max) AlignedTooMuch {
    std::uint32_t number;
};
static_assert(ipc::RingRecord<Aligned> && !ipc::RingRecord<AlignedTooMuch>);

// With gaps.
struct OfThisBuild {
    char small;
    long large;
};
struct OfThisBuildToo {
    char small;
    long large;
};

}  // namespace

template <>
struct weir::ipc::RecordTraits<OfThisBuild> {
    static constexpr bool same_build = true;
};
template <>
struct weir::ipc::RecordTraits<OfThisBuildToo> {
    static constexpr bool same_build = true;
};

namespace {

template <class Body>
void on_each(LinkTrust trust, Body body) {
    for_each_seed([&](std::uint64_t seed) {
        const Place place(trust);
        Running running(seed);
        running.must_run(body(*running, place));
    });
}
// In place, and by copies and packets.
template <class Body>
void on_each(Body body) {
    on_each(LinkTrust::everyone, body);
    on_each(LinkTrust::nobody, body);
}

Task<> produce(Scheduler& scheduler, const Place& place, std::uint32_t slots, std::uint64_t count) {
    WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(scheduler, readings, place.slots(slots)));
    for (std::uint64_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve().within(10s));
        *slot = {.number = i, .value = static_cast<std::int32_t>(i) * 3, .sensor = 7};
        slot.commit();
    }
    WEIR_CO_CHECK(ring.close().within(10s));
}
Task<std::uint64_t> consume(Scheduler& scheduler, const Place& place) {
    WEIR_CO_TRY(auto ring, RingReader<Reading>::open(scheduler, readings, place.opened()).within(10s));
    for (std::uint64_t i = 0;; ++i) {
        auto next = co_await ring.next();
        if (!next && next.error() == Errc::ended) co_return i;
        WEIR_CO_TRY(auto reading, std::move(next));
        CHECK_IN_TASK(reading->number == i);
        CHECK_IN_TASK(reading->value == static_cast<std::int32_t>(i) * 3);
    }
}

Task<> put(Scheduler&, RingWriter<Reading>& ring, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve().within(10s));
        *slot = {.number = i, .value = 0, .sensor = 0};
        slot.commit();
    }
}
Task<> expect(Scheduler&, RingReader<Reading>& ring, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto item, ring.next().within(10s));
        CHECK_IN_TASK(item->number == i);
    }
}

// A file is what nobody can wait for.
void put_files_in_place_of_eventfds() {
    const Fd file(::memfd_create("no bell", MFD_CLOEXEC));
    for (int fd = 3; fd < 256; ++fd) {
        char path[32];
        char target[64] = "";
        std::snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (::readlink(path, target, sizeof(target) - 1) < 0) continue;
        if (std::strcmp(target, "anon_inode:[eventfd]") == 0) ::dup3(file.get(), fd, O_CLOEXEC);
    }
}

Task<> reads_along(Scheduler&, RingReader<Reading>& reader, std::uint64_t& next, std::uint64_t end) {
    while (next < end) {
        {
            const auto item = co_await reader.next();
            if (item) {
                CHECK_IN_TASK((*item)->number == next);
                ++next;
                continue;
            }
            CHECK_IN_TASK(code_of(item) == Errc::busy);
        }
        WEIR_CO_CHECK(yield());
    }
}

}  // namespace

TEST_CASE("records come out in order, and after the last one the reader learns that its writer ended") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto both = co_await all_of(produce(of, place, 8, 1'000), consume(of, place));
        CHECK_IN_TASK(both.has_value());
        if (both) CHECK_IN_TASK(std::get<1>(*both) == 1'000);
    });
}

TEST_CASE("a writer without a reader keeps its records and waits for space until its deadline") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(4)));
        WEIR_CO_CHECK(put(of, ring, 0, 4));
        CHECK_IN_TASK(ring.fill() == 4);
        const auto full = co_await ring.reserve().within(1ms);
        CHECK_IN_TASK(code_of(full) == Errc::timed_out);
        const auto not_now = ring.try_reserve();
        CHECK_IN_TASK(code_of(not_now) == Errc::would_block);
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        const auto both = co_await all_of(expect(of, reader, 0, 9), put(of, ring, 4, 9));
        CHECK_IN_TASK(both.has_value());
        const auto empty = co_await reader.next().within(1ms);
        CHECK_IN_TASK(code_of(empty) == Errc::timed_out);
    });
}

TEST_CASE("a wait for space goes on when a reader comes") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto reads_later = [](Scheduler& in, const Place& where) -> Task<> {
            WEIR_CO_CHECK(sleep_for(1ms));
            WEIR_CO_TRY(auto reader, RingReader<Reading>::open(in, readings, where.opened()).within(10s));
            WEIR_CO_CHECK(expect(in, reader, 0, 50));
        };
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(2)));
        const auto both = co_await all_of(put(of, ring, 0, 50), reads_later(of, place));
        CHECK_IN_TASK(both.has_value());
        WEIR_CO_CHECK(ring.close().within(10s));
    });
}

TEST_CASE("the next reader begins with what the last one did not release") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(8)));
        WEIR_CO_CHECK(put(of, ring, 0, 6));
        {
            WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
            WEIR_CO_CHECK(expect(of, reader, 0, 2));
            WEIR_CO_TRY(auto third, reader.next());
            CHECK_IN_TASK(third->number == 2);
            third.defer();
            reader.close();
            const auto closed = co_await reader.next();
            CHECK_IN_TASK(code_of(closed) == Errc::closed);
        }
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        WEIR_CO_CHECK(expect(of, reader, 2, 6));
        WEIR_CO_CHECK(put(of, ring, 6, 10));
        WEIR_CO_CHECK(expect(of, reader, 6, 10));
    });
}

TEST_CASE("a reservation that is dropped was never there, and what is deferred comes with the next commit") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(8)));
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        {
            WEIR_CO_TRY(auto slot, ring.reserve());
            slot->number = 99;
            const auto second = co_await ring.reserve();
            CHECK_IN_TASK(code_of(second) == Errc::busy);
        }
        for (std::uint64_t i = 0; i < 3; ++i) {
            WEIR_CO_TRY(auto slot, ring.reserve());
            slot->number = i;
            slot.defer();
        }
        const auto nothing = reader.try_next();
        CHECK_IN_TASK(code_of(nothing) == Errc::would_block);
        ring.commit();
        WEIR_CO_CHECK(expect(of, reader, 0, 3));
        const auto drained = co_await reader.next().within(1ms);
        CHECK_IN_TASK(code_of(drained) == Errc::timed_out);
    });
}

TEST_CASE("batches of neighbours are committed and released at once") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(16)));
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        std::uint64_t written = 0;
        std::uint64_t read = 0;
        while (read < 300) {
            {
                WEIR_CO_TRY(auto slots, ring.reserve_some(7));
                CHECK_IN_TASK((slots.size() >= 1 && slots.size() <= 7));
                for (std::uint32_t i = 0; i < slots.size(); ++i) slots[i].number = written + i;
                const std::uint32_t count = slots.size() > 3 ? slots.size() - 1 : slots.size();
                slots.commit(count);
                written += count;
            }
            {
                WEIR_CO_TRY(auto items, reader.next_some(5));
                CHECK_IN_TASK((items.size() >= 1 && items.size() <= 5));
                for (std::uint32_t i = 0; i < items.size(); ++i) CHECK_IN_TASK(items[i].number == read + i);
                read += items.size();
            }
            if (written - read < 8) continue;
            WEIR_CO_CHECK(expect(of, reader, read, written));
            read = written;
        }
    });
}

TEST_CASE("a reader whose record has other fields is refused, and both layouts are named") {
    struct Other {
        std::uint64_t number;
        float value;
        std::uint32_t sensor;
    };
    static_assert(sizeof(Other) == sizeof(Reading));
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(8)));
        const auto other = co_await RingReader<Other>::open(of, readings, place.opened()).within(10s);
        CHECK_IN_TASK(code_of(other) == Errc::mismatch);
        if (other) co_return;
        CHECK_IN_TASK(other.error().a == ipc::layout_hash<Other>());
        CHECK_IN_TASK(other.error().b == ipc::layout_hash<Reading>());
        char sentence[160];
        const std::string_view said = other.error().message(sentence);
        CHECK_IN_TASK(said.find("layout") != said.npos);
        CHECK_IN_TASK(said.find(std::to_string(ipc::layout_hash<Other>()) + " here") != said.npos);
        CHECK_IN_TASK(said.find(std::to_string(ipc::layout_hash<Reading>()) + " there") != said.npos);
    });
}

TEST_CASE("a type that is no portable record is shared where its owner says so") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<OfThisBuild>::create(of, readings, place.slots(8)));
        const auto other =
            co_await RingReader<OfThisBuildToo>::open(of, readings, place.opened()).within(10s);
        CHECK_IN_TASK(code_of(other) == Errc::mismatch);
        WEIR_CO_TRY(auto reader, RingReader<OfThisBuild>::open(of, readings, place.opened()).within(10s));
        WEIR_CO_TRY(auto slot, ring.reserve());
        *slot = {.small = 1, .large = 2};
        slot.commit();
        WEIR_CO_TRY(const auto item, reader.next().within(10s));
        CHECK_IN_TASK(item->large == 2);
    });
}

TEST_CASE("one reader at a time, of the same type") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(8)));
        const auto other = co_await RingReader<std::uint64_t>::open(of, readings, place.opened()).within(10s);
        CHECK_IN_TASK(code_of(other) == Errc::mismatch);
        const auto bytes = co_await ByteRingReader::open(of, readings, place.opened()).within(10s);
        CHECK_IN_TASK(code_of(bytes) == Errc::mismatch);
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        CHECK_IN_TASK(reader.slots() == 8);
        const auto second = co_await RingReader<Reading>::open(of, readings, place.opened()).within(10s);
        CHECK_IN_TASK(code_of(second) == Errc::in_use);
        const auto again = RingWriter<Reading>::create(of, readings, place.slots(8));
        CHECK_IN_TASK(code_of(again) == Errc::in_use);
        WEIR_CO_CHECK(put(of, ring, 0, 3));
        WEIR_CO_CHECK(expect(of, reader, 0, 3));
    });
}

TEST_CASE("a shape that cannot be is refused") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        for (const std::uint32_t slots : {0U, 3U, 1'000U}) {
            const auto bad = RingWriter<Reading>::create(of, readings, place.slots(slots));
            CHECK_IN_TASK((code_of(bad) == Errc::invalid && bad.error().a == slots));
        }
        // The last two are sizes that 32 bits would make 0 of.
        for (const std::uint32_t slots : {1U << 31, 1U << 30, 1U << 28}) {
            const auto large = RingWriter<Reading>::create(of, readings, place.slots(slots));
            CHECK_IN_TASK(code_of(large) == Errc::too_large);
        }
        const auto small = ByteRingWriter::create(of, readings, place.bytes(32));
        CHECK_IN_TASK(code_of(small) == Errc::invalid);
        RingWriter<Reading> none;
        const auto closed = co_await none.reserve();
        CHECK_IN_TASK(code_of(closed) == Errc::closed);
    });
}

TEST_CASE("a second task at the same end is turned away, and a stop ends a wait") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(2)));
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        {
            const auto arms = co_await first_of(reader.next(), reader.next(), sleep_for(10s));
            CHECK_IN_TASK(arms.index() == 1);
            CHECK_IN_TASK(code_of(arms.get<1>()) == Errc::busy);
            CHECK_IN_TASK(code_of(arms.get<0>()) == Errc::cancelled);
        }
        WEIR_CO_CHECK(put(of, ring, 0, 1));
        {
            auto arms = co_await first_of(reader.next(), sleep_for(0s));
            // What was there is in the result, whoever came first.
            CHECK_IN_TASK(arms.get<0>().has_value());
        }
        const auto none = co_await reader.next().within(1ms);
        CHECK_IN_TASK(code_of(none) == Errc::timed_out);
    });
}

TEST_CASE("a bell that cannot be armed is a lost peer, told once") {
    on_each(LinkTrust::everyone, [](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(2)));
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        put_files_in_place_of_eventfds();
        const auto lost = co_await reader.next();
        CHECK_IN_TASK(code_of(lost) == Errc::peer_lost);
        WEIR_CO_CHECK(put(of, ring, 0, 2));
        const auto full = co_await ring.reserve().within(1ms);
        CHECK_IN_TASK(code_of(full) == Errc::timed_out);
        reader.close();
        WEIR_CO_TRY(auto next, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        const auto both = co_await all_of(put(of, ring, 2, 9), expect(of, next, 0, 9));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("a record that was committed before the stop of a wait wins over it") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(2)));
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        const auto arms = co_await first_of(reader.next(), put(of, ring, 5, 6));
        CHECK_IN_TASK(arms.index() == 1);
        CHECK_IN_TASK(arms.get<0>().has_value());
        if (arms.get<0>()) CHECK_IN_TASK((*arms.get<0>())->number == 5);
    });
}

TEST_CASE("closing ends with peer_lost if the reader is lost with records left, which another one gets") {
    on_each(LinkTrust::everyone, [](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(4)));
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        put_files_in_place_of_eventfds();
        const auto lost = co_await reader.next();
        CHECK_IN_TASK(code_of(lost) == Errc::peer_lost);
        WEIR_CO_CHECK(put(of, ring, 0, 3));
        reader.close();  // without a goodbye, since the link is lost already
        const auto closed = co_await ring.close().within(10s);
        CHECK_IN_TASK(code_of(closed) == Errc::peer_lost);
        WEIR_CO_TRY(auto next, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        const auto both = co_await all_of(ring.close().within(10s), expect(of, next, 0, 3));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("a record that was promised to a task without credit is nobody else's") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, place.slots(128)));
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        // For some of these the credit ends with the last record.
        std::uint64_t next = 0;
        for (std::uint64_t count = 48; count < 72; ++count) {
            const std::uint64_t end = next + count;
            WEIR_CO_CHECK(put(of, ring, next, end));
            WEIR_CO_CHECK(yield());
            WEIR_CO_CHECK(all_of(reads_along(of, reader, next, end), reads_along(of, reader, next, end)));
            CHECK_IN_TASK(next == end);
            const auto nothing = reader.try_next();
            CHECK_IN_TASK(code_of(nothing) == Errc::would_block);
        }
    });
}

TEST_CASE("closing waits until everything was taken, and dropping a writer loses nothing for its reader") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto reader_of_none, RingWriter<Reading>::create(of, readings, place.slots(8)));
        WEIR_CO_CHECK(put(of, reader_of_none, 0, 5));
        const auto waits = co_await reader_of_none.close().within(1ms);
        CHECK_IN_TASK(code_of(waits) == Errc::timed_out);
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, place.opened()).within(10s));
        reader_of_none = RingWriter<Reading>();
        WEIR_CO_CHECK(expect(of, reader, 0, 5));
        const auto end = co_await reader.next().within(10s);
        CHECK_IN_TASK(code_of(end) == Errc::ended);
        const auto still = co_await reader.next();
        CHECK_IN_TASK(code_of(still) == Errc::ended);
    });
}

TEST_CASE("records of bytes of any length, in place, shortened and deferred") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto writes = [](Scheduler& in, const Place& where) -> Task<> {
            WEIR_CO_TRY(auto ring, ByteRingWriter::create(in, readings, where.bytes(512)));
            CHECK_IN_TASK(ring.record_size_max() == 248);
            const auto long_one = co_await ring.reserve(249);
            CHECK_IN_TASK(code_of(long_one) == Errc::too_large);
            for (std::uint32_t i = 0; i < 500; ++i) {
                WEIR_CO_TRY(auto record, ring.reserve(248).within(10s));
                const std::uint32_t size = i * 31 % 249;
                std::memset(record.bytes().data(), static_cast<int>(i & 0xff), size);
                if (i % 7 == 0) {
                    record.defer(size);
                } else {
                    record.commit(size);
                }
            }
            WEIR_CO_CHECK(ring.close().within(10s));
        };
        const auto reads = [](Scheduler& in, const Place& where) -> Task<> {
            WEIR_CO_TRY(auto ring, ByteRingReader::open(in, readings, where.opened()).within(10s));
            for (std::uint32_t i = 0; i < 500; ++i) {
                WEIR_CO_TRY(auto record, ring.next().within(10s));
                CHECK_IN_TASK(record.bytes().size() == i * 31 % 249);
                std::uint32_t wrong = 0;
                for (const std::byte byte : record.bytes())
                    if (byte != static_cast<std::byte>(i & 0xff)) ++wrong;
                CHECK_IN_TASK(wrong == 0);
                if (i % 5 == 0) record.defer();
            }
            const auto end = co_await ring.next();
            CHECK_IN_TASK(code_of(end) == Errc::ended);
        };
        const auto both = co_await all_of(writes(of, place), reads(of, place));
        CHECK_IN_TASK(both.has_value());
    });
}
