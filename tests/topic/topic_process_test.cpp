// SPDX-License-Identifier: MIT
//
// A topic between processes, one of which is killed.
#include "topic_place.hpp"

#include "io/victim.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::TopicPolicy;

using Poses = ipc::Subscriber<Pose>;
using PosePublisher = ipc::Publisher<Pose>;

Task<> publish_and_stay(Scheduler& scheduler, const Place& place, std::uint64_t from, std::uint64_t to,
                        int say_to) {
    WEIR_CO_TRY(auto publisher, PosePublisher::create(scheduler, pose_topic, place.publishes(64)));
    WEIR_CO_CHECK(put(scheduler, publisher, from, to));
    WEIR_CO_TRY(auto unfinished, publisher.loan());
    unfinished->number = to;  // and is never published
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

Task<> take_and_stay(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    WEIR_CO_TRY(auto poses, Poses::open(scheduler, pose_topic, place.subscribes()).within(30s));
    for (std::uint64_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto sample, poses.next().within(30s));
        CHECK_IN_TASK(sample.missed() == 0);
    }
    WEIR_CO_TRY(auto held, poses.next().within(30s));
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

}  // namespace

TEST_CASE("what a killed publisher published all comes, then the subscriber learns that it was lost") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return publish_and_stay(in, place, 0, 40, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& publisher) -> Task<> {
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, where.subscribes(40)).within(30s));
        WEIR_CO_CHECK(expect(of, poses, 0, 20));
        publisher.kill();
        WEIR_CO_CHECK(expect(of, poses, 20, 40));
        const auto end = co_await poses.next().within(30s);
        CHECK_IN_TASK(code_of(end) == Errc::peer_lost);
        WEIR_CO_TRY(auto latest, poses.latest());
        CHECK_IN_TASK(whole(*latest, 39));
    }(*running, place, victim));
}

TEST_CASE("a subscriber goes on with the successor of a publisher that was killed") {
    skip_where_simulated();
    const Place place;
    Running running;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        ipc::SubscriberOptions options = where.subscribes();
        options.restart = ipc::TopicRestart::reattach;
        std::optional<Poses> poses;
        for (std::uint64_t round = 0; round < 3; ++round) {
            const auto make = [&](Scheduler& in, int say_to) {
                return publish_and_stay(in, where, 100 * round, 100 * round + 5, say_to);
            };
            std::optional<Victim> publisher;
            {
                const HeapPermit permit;
                publisher.emplace(make);
            }
            if (!poses) {
                publisher->wait_until_it_says();
                WEIR_CO_TRY(auto opened, Poses::open(of, pose_topic, options).within(30s));
                poses = std::move(opened);
                // It came when all was published, and asked for no history.
                const auto nothing = poses->try_next();
                CHECK_IN_TASK(code_of(nothing) == Errc::would_block);
            } else {
                {
                    WEIR_CO_TRY(auto first, poses->next().within(30s));
                    CHECK_IN_TASK(first.restarted());
                    CHECK_IN_TASK(whole(*first, 100 * round));
                }
                WEIR_CO_CHECK(expect(of, *poses, 100 * round + 1, 100 * round + 5));
            }
            publisher->kill();
        }
        CHECK_IN_TASK(poses->restarts() == 2);
    }(*running, place));
}

TEST_CASE("a subscriber that is killed holds up no publisher, nor does it keep a slot") {
    skip_where_simulated();
    const Place place;
    // Waits for the name until there is one.
    Victim victim([&](Scheduler& in, int say_to) { return take_and_stay(in, place, 3, say_to); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& subscriber) -> Task<> {
        ipc::PublisherOptions options = where.publishes(4, TopicPolicy::wait_for_slowest);
        options.subscribers_max = 2;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, where.subscribes()).within(30s));
        while (publisher.subscribers() < 2) WEIR_CO_CHECK(sleep_for(1ms));
        // It takes four, and stops.
        const auto both = co_await all_of(put(of, publisher, 0, 8), expect(of, poses, 0, 8));
        CHECK_IN_TASK(both.has_value());
        const auto kills = [](Scheduler&, Victim& whom) -> Task<> {
            WEIR_CO_CHECK(sleep_for(5ms));
            whom.kill();
        };
        const auto all =
            co_await all_of(put(of, publisher, 8, 500), expect(of, poses, 8, 500), kills(of, subscriber));
        CHECK_IN_TASK(all.has_value());
        CHECK_IN_TASK(publisher.subscribers() == 1);
        CHECK_IN_TASK(publisher.dropped() == 0);
    }(*running, place, victim));
}
