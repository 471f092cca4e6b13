// SPDX-License-Identifier: MIT
//
// Topics whose processes live in control groups, and what a group's memory limit does to them.
#include "topic_place.hpp"

#include "io/victim.hpp"
#include "support/memory_group.hpp"

#include <cstring>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::Publisher;
using ipc::Subscriber;

template <std::size_t bytes>
struct Frame {
    std::array<std::uint64_t, bytes / sizeof(std::uint64_t)> words;
};
constexpr ipc::TopicName frames{"test/frames"};
/// Of the samples that are kept: far beyond what a group is allowed after the topic is made.
constexpr std::uint32_t kept_bytes = 4 * memory_headroom;
constexpr std::uint64_t few_samples = 4;  // of all code paths, but of a small part of the memory

template <std::size_t bytes>
Task<> publish_frames(Scheduler& scheduler, const Place& place, const MemoryGroup& group,
                      std::uint64_t count) {
    group.join();
    const auto options = place.publishes(kept_bytes / bytes, ipc::TopicPolicy::wait_for_slowest);
    WEIR_CO_TRY(auto publisher, Publisher<Frame<bytes>>::create(scheduler, frames, options));
    while (publisher.subscribers() == 0) WEIR_CO_CHECK(sleep_for(1ms));
    for (std::uint64_t i = 0; i < count; ++i) {
        if (i == few_samples) group.allow_more(memory_headroom);
        WEIR_CO_TRY(auto loan, publisher.loan().within(60s));
        std::memset(loan->words.data(), static_cast<int>(i & 0xff), bytes);
        loan->words.front() = i;
        loan.publish();
    }
    WEIR_CO_CHECK(sleep_for(1h));
}

template <std::size_t bytes>
Task<> take_frames(Scheduler& scheduler, const Place& place, const MemoryGroup& group, std::uint64_t count,
                   int say_to) {
    group.join();
    WEIR_CO_TRY(auto frames_of_it,
                Subscriber<Frame<bytes>>::open(scheduler, frames, place.subscribes()).within(60s));
    for (std::uint64_t i = 0; i < count; ++i) {
        if (i == few_samples) group.allow_more(memory_headroom);
        WEIR_CO_TRY(auto sample, frames_of_it.next().within(60s));
        const std::uint64_t number = sample->words.front();
        const bool whole_to_its_end = sample->words.back() == (i & 0xff) * 0x0101'0101'0101'0101;
        if (number != i || !whole_to_its_end || sample.missed() != 0)
            co_return co_await fail(Errc::corrupt, "a sample", i, number);
    }
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

template <std::size_t bytes>
void check_frames_of(std::uint64_t count) {
    INFO(bytes << " bytes");
    const Place place;
    const MemoryGroup of_publisher;
    const MemoryGroup of_subscriber;
    Victim publisher(
        [&](Scheduler& in, int) { return publish_frames<bytes>(in, place, of_publisher, count); });
    Victim subscriber([&](Scheduler& in, int say_to) {
        return take_frames<bytes>(in, place, of_subscriber, count, say_to);
    });
    subscriber.wait_until_it_says();
    CHECK(of_publisher.killed() == 0);
    CHECK(of_subscriber.killed() == 0);
}

Task<> publish_and_exceed(Scheduler& scheduler, const Place& place, const MemoryGroup& group) {
    group.join();
    WEIR_CO_TRY(auto publisher, Publisher<Pose>::create(scheduler, pose_topic, place.publishes(64)));
    while (publisher.subscribers() == 0) WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_CHECK(put(scheduler, publisher, 0, 40));
    WEIR_CO_TRY(auto unfinished, publisher.loan());
    group.exceed();
}

/// Keeps what it took last.
Task<> take_and_exceed(Scheduler& scheduler, const Place& place, const MemoryGroup& group) {
    group.join();
    WEIR_CO_TRY(auto poses, Subscriber<Pose>::open(scheduler, pose_topic, place.subscribes()).within(30s));
    WEIR_CO_TRY(auto held, poses.next().within(30s));
    group.exceed();
}

}  // namespace

TEST_CASE("at the memory limits of both sides, set once the topic is made, no sample needs a page more") {
    skip_where_simulated();
    skip_without_memory_groups();
    check_frames_of<512>(200'000);
    check_frames_of<16 << 10>(15'000);
    check_frames_of<1 << 20>(400);
}

TEST_CASE(
    "a publisher that the kernel ends at its memory limit is lost after its last sample, and succeeded") {
    skip_where_simulated();
    skip_without_memory_groups();
    const Place place;
    const MemoryGroup group;
    const MemoryGroup of_next;
    std::optional<Victim> victim;
    victim.emplace([&](Scheduler& in, int) { return publish_and_exceed(in, place, group); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, std::optional<Victim>& publisher,
                        const MemoryGroup& for_next) -> Task<> {
        for (int round = 0; round < 2; ++round) {
            WEIR_CO_TRY(auto poses, Subscriber<Pose>::open(of, pose_topic, where.subscribes()).within(30s));
            WEIR_CO_CHECK(expect(of, poses, 0, 40));
            const auto end = co_await poses.next().within(30s);
            CHECK_IN_TASK(code_of(end) == Errc::peer_lost);
            const HeapPermit permit;
            publisher.reset();
            if (round == 0)
                publisher.emplace(
                    [&](Scheduler& in, int) { return publish_and_exceed(in, where, for_next); });
        }
    }(*running, place, victim, of_next));
    CHECK(group.killed() == 1);
    CHECK(of_next.killed() == 1);
}

TEST_CASE(
    "a subscriber that the kernel ends at its memory limit keeps no slot, and the others miss nothing") {
    skip_where_simulated();
    skip_without_memory_groups();
    const Place place;
    const MemoryGroup group;
    Victim victim([&](Scheduler& in, int) { return take_and_exceed(in, place, group); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        const auto options = where.publishes(4, ipc::TopicPolicy::wait_for_slowest);
        WEIR_CO_TRY(auto publisher, Publisher<Pose>::create(of, pose_topic, options));
        WEIR_CO_TRY(auto poses, Subscriber<Pose>::open(of, pose_topic, where.subscribes()).within(30s));
        while (publisher.subscribers() < 2) WEIR_CO_CHECK(sleep_for(1ms));
        WEIR_CO_CHECK(all_of(put(of, publisher, 0, 500), expect(of, poses, 0, 500)));
        CHECK_IN_TASK(publisher.subscribers() == 1);
        CHECK_IN_TASK(publisher.dropped() == 0);
        WEIR_CO_TRY(auto next, Subscriber<Pose>::open(of, pose_topic, where.subscribes()).within(30s));
        WEIR_CO_CHECK(
            all_of(put(of, publisher, 500, 510), expect(of, poses, 500, 510), expect(of, next, 500, 510)));
    }(*running, place));
    CHECK(group.killed() == 1);
}
