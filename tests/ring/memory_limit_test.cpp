// SPDX-License-Identifier: MIT
//
// Rings whose processes live in control groups, and what a group's memory limit does to them.
#include "ring_place.hpp"

#include "io/victim.hpp"
#include "support/memory_group.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <random>

#include <fcntl.h>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::ByteRingReader;
using ipc::ByteRingWriter;
using ipc::RingReader;
using ipc::RingWriter;

constexpr ipc::RingName frames{"test/frames"};
/// Far beyond what a group is allowed after the ring is made.
constexpr std::uint32_t ring_bytes = 4 * memory_headroom;

/// The sizes of records, from 8 bytes to the largest that there can be, the same for both sides.
class Sizes {
public:
    std::size_t next() noexcept {
        if (++drawn_ % 400 == 0) return ipc::ring::record_size_max(ring_bytes);
        const std::size_t least = std::size_t{8} << random_() % 18;
        return least + random_() % least;
    }

private:
    std::minstd_rand random_{5};
    std::uint32_t drawn_ = 0;
};

constexpr std::uint64_t few_records = 30;     // of all code paths, but of a small part of the memory
constexpr std::uint64_t all_records = 4'000;  // a gigabyte

Task<> write_frames(Scheduler& scheduler, const Place& place, const MemoryGroup& group) {
    group.join();
    WEIR_CO_TRY(auto ring, ByteRingWriter::create(scheduler, frames, place.bytes(ring_bytes)));
    while (!ring.has_reader()) WEIR_CO_CHECK(sleep_for(1ms));
    Sizes sizes;
    for (std::uint64_t i = 0; i < all_records; ++i) {
        if (i == few_records) group.allow_more(memory_headroom);
        WEIR_CO_TRY(auto record, ring.reserve(sizes.next()).within(60s));
        const Bytes bytes = record.bytes();
        std::memset(bytes.data(), static_cast<int>(i & 0xff), bytes.size());
        std::memcpy(bytes.data(), &i, sizeof(i));
        record.commit();
    }
    WEIR_CO_CHECK(sleep_for(1h));
}

Task<> read_frames(Scheduler& scheduler, const Place& place, const MemoryGroup& group, int say_to) {
    group.join();
    WEIR_CO_TRY(auto ring, ByteRingReader::open(scheduler, frames, place.opened()).within(60s));
    Sizes sizes;
    for (std::uint64_t i = 0; i < all_records; ++i) {
        if (i == few_records) group.allow_more(memory_headroom);
        WEIR_CO_TRY(auto record, ring.next().within(60s));
        std::uint64_t number = 0;
        std::memcpy(&number, record.bytes().data(), sizeof(number));
        if (record.bytes().size() != sizes.next() || number != i ||
            (record.bytes().size() > 8 && record.bytes().back() != static_cast<std::byte>(i & 0xff)))
            co_return co_await fail(Errc::corrupt, "a record", i, number);
    }
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

Task<> put_readings(Scheduler&, RingWriter<Reading>& ring, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve().within(30s));
        slot->number = i;
        slot.commit();
    }
}

Task<> expect_readings(Scheduler&, RingReader<Reading>& ring, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto item, ring.next().within(30s));
        CHECK_IN_TASK(item->number == i);
    }
}

/// Leaves a record unfinished, too.
Task<> write_and_exceed(Scheduler& scheduler, const Place& place, const MemoryGroup& group) {
    group.join();
    WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(scheduler, readings, place.slots(64)));
    WEIR_CO_CHECK(put_readings(scheduler, ring, 40));
    WEIR_CO_TRY(auto unfinished, ring.reserve());
    while (!ring.has_reader()) WEIR_CO_CHECK(sleep_for(1ms));
    group.exceed();
}

Task<> read_and_exceed(Scheduler& scheduler, const Place& place, const MemoryGroup& group) {
    group.join();
    WEIR_CO_TRY(auto ring, RingReader<Reading>::open(scheduler, readings, place.opened()).within(30s));
    WEIR_CO_CHECK(expect_readings(scheduler, ring, 0, 3));
    WEIR_CO_TRY(auto in_use, ring.next().within(30s));
    group.exceed();
}

/// Serves a small ring, and wants a large one when that has a reader.
Task<> make_too_large_a_ring(Scheduler& scheduler, const Place& place, const MemoryGroup& group) {
    group.join();
    WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(scheduler, readings, place.slots(64)));
    WEIR_CO_CHECK(put_readings(scheduler, ring, 40));
    while (!ring.has_reader()) WEIR_CO_CHECK(sleep_for(1ms));
    group.allow_more(memory_headroom);
    WEIR_CO_TRY(auto large, ByteRingWriter::create(scheduler, frames, place.bytes(ring_bytes)));
}

void pass_frames_at_the_limits(ipc::LinkTrust trust) {
    const Place place(trust);
    const MemoryGroup of_writer;
    const MemoryGroup of_reader;
    Victim writer([&](Scheduler& in, int) { return write_frames(in, place, of_writer); });
    Victim reader([&](Scheduler& in, int say_to) { return read_frames(in, place, of_reader, say_to); });
    reader.wait_until_it_says();
    CHECK(of_writer.killed() == 0);
    CHECK(of_reader.killed() == 0);
}

/// Reads all that a writer wrote before it dies.
void read_from_the_dead(const Place& place) {
    Running running;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        WEIR_CO_TRY(auto ring, RingReader<Reading>::open(of, readings, where.opened()).within(30s));
        WEIR_CO_CHECK(expect_readings(of, ring, 0, 40));
        const auto end = co_await ring.next().within(30s);
        CHECK_IN_TASK(code_of(end) == Errc::peer_lost);
    }(*running, place));
}

}  // namespace

TEST_CASE("at the memory limits of both sides, set once the ring is made, no record needs a page more") {
    skip_where_simulated();
    skip_without_memory_groups();
    pass_frames_at_the_limits(ipc::LinkTrust::same_user);
}

TEST_CASE("at their memory limits strangers need no page more, once the first record was copied") {
    skip_where_simulated();
    skip_without_memory_groups();
    skip_where_pages_come_late();
    pass_frames_at_the_limits(ipc::LinkTrust::nobody);
}

TEST_CASE("a writer that the kernel ends at its memory limit is lost after its last record, and replaced") {
    skip_where_simulated();
    skip_without_memory_groups();
    const Place place;
    const MemoryGroup group;
    Victim victim([&](Scheduler& in, int) { return write_and_exceed(in, place, group); });
    read_from_the_dead(place);
    CHECK(group.killed() == 1);
    victim.kill();
    const MemoryGroup of_next;
    Victim next([&](Scheduler& in, int) { return write_and_exceed(in, place, of_next); });
    read_from_the_dead(place);
    CHECK(of_next.killed() == 1);
}

TEST_CASE(
    "a reader that the kernel ends at its memory limit leaves what it had not released to the next one") {
    skip_where_simulated();
    skip_without_memory_groups();
    const Place place;
    const MemoryGroup group;
    Victim victim([&](Scheduler& in, int) { return read_and_exceed(in, place, group); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, where.slots(16)));
        WEIR_CO_CHECK(put_readings(of, ring, 10));
        while (!ring.has_reader()) WEIR_CO_CHECK(sleep_for(1ms));
        const auto closed = co_await ring.close().within(30s);
        CHECK_IN_TASK(code_of(closed) == Errc::peer_lost);
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, where.opened()).within(30s));
        WEIR_CO_CHECK(expect_readings(of, reader, 3, 10));
        WEIR_CO_CHECK(ring.close().within(30s));
    }(*running, place));
    CHECK(group.killed() == 1);
}

TEST_CASE(
    "whoever makes a ring beyond its memory limit is ended, which hinders neither peers nor a successor") {
    skip_where_simulated();
    skip_without_memory_groups();
    const Place place;
    {
        const MemoryGroup group;
        Victim victim([&](Scheduler& in, int) { return make_too_large_a_ring(in, place, group); });
        read_from_the_dead(place);
        CHECK(group.killed() == 1);
    }
    Running running;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        WEIR_CO_TRY(auto small, RingWriter<Reading>::create(of, readings, where.slots(64)));
        WEIR_CO_TRY(auto large, ByteRingWriter::create(of, frames, where.bytes(ring_bytes)));
        WEIR_CO_TRY(auto reader, ByteRingReader::open(of, frames, where.opened()).within(30s));
        {
            WEIR_CO_TRY(auto record, large.reserve(8));
            record.commit();
        }
        WEIR_CO_TRY(auto record, reader.next().within(30s));
        CHECK_IN_TASK(record.bytes().size() == 8);
    }(*running, place));
}

TEST_CASE("whoever the kernel must not end gets no_memory for a ring beyond its memory limit") {
    skip_where_simulated();
    skip_without_memory_groups();
    constexpr int cannot_be_spared = 77;
    const Place place;
    const MemoryGroup group;
    const auto end = run_in_child([&] {
        group.join();
        Running running;
        const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        const bool spared = ::write(fd, "-1000", 5) == 5;
        ::close(fd);
        if (!spared) return cannot_be_spared;
        const auto make = [&] {
            return code_of(ByteRingWriter::create(*running, frames, place.bytes(ring_bytes)));
        };
        group.allow_more(memory_headroom);
        if (make() != Errc::no_memory) return 1;
        if (!std::filesystem::is_empty(place.temporary.path())) return 2;
        group.allow_more(2 * ring_bytes);
        return make() == std::nullopt ? 0 : 3;
    });
    if (end.exit_status == cannot_be_spared) skip("nobody may forbid the kernel to end a process here");
    INFO(end.errors);
    CHECK(end.exit_status == 0);
    CHECK(group.killed() == 0);
}
