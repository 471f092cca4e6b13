// SPDX-License-Identifier: MIT
//
// Publishers that go, and their successors.
#include "topic_place.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::Successor;

using Poses = ipc::Subscriber<Pose>;
using PosePublisher = ipc::Publisher<Pose>;

ipc::SubscriberOptions reattaches(const Place& place) {
    ipc::SubscriberOptions options = place.subscribes();
    options.successor = Successor::await;
    return options;
}

Task<> publish_again_later(Scheduler& scheduler, PosePublisher& publisher, const Place& place) {
    WEIR_CO_CHECK(sleep_for(2ms));
    WEIR_CO_TRY(publisher, PosePublisher::create(scheduler, pose_topic, place.publishes(8)));
    WEIR_CO_CHECK(put(scheduler, publisher, 100, 103));
}

}  // namespace

TEST_CASE("a subscriber that was opened so goes on with the next publisher, and is told") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(8)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, reattaches(place)).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 0, 5));
        WEIR_CO_CHECK(expect(of, poses, 0, 2));
        publisher.close();
        // What it published is there still.
        WEIR_CO_CHECK(expect(of, poses, 2, 5));
        for (std::uint32_t round = 1; round < 4; ++round) {
            auto outcome =
                co_await all_of(poses.next().within(10s), publish_again_later(of, publisher, place));
            CHECK_IN_TASK(outcome.has_value());
            if (!outcome) co_return;
            {
                const auto first = std::move(std::get<0>(*outcome));
                CHECK_IN_TASK(whole(*first, 100));
                CHECK_IN_TASK(first.restarted());
                CHECK_IN_TASK(first.sequence() == 0);
                CHECK_IN_TASK(first.missed() == 0);
            }
            CHECK_IN_TASK(poses.restarts() == round);
            {
                WEIR_CO_TRY(auto second, poses.next());
                CHECK_IN_TASK(!second.restarted());
                CHECK_IN_TASK(whole(*second, 101));
            }
            WEIR_CO_CHECK(expect(of, poses, 102, 103));
            publisher.close();
        }
    });
}

TEST_CASE("waiting for a successor ends with its deadline or its stop, and can be taken up again") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(8)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, reattaches(place)).within(10s));
        publisher.close();
        const auto late = co_await poses.next().within(3ms);
        CHECK_IN_TASK(code_of(late) == Errc::timed_out);
        {
            const auto arms = co_await first_of(sleep_for(2ms), poses.next());
            CHECK_IN_TASK(arms.index() == 0);
            CHECK_IN_TASK(code_of(arms.get<1>()) == Errc::cancelled);
        }
        const auto tried = poses.try_next();
        CHECK_IN_TASK(code_of(tried) == Errc::would_block);
        CHECK_IN_TASK(!poses.attached());
        const auto both =
            co_await all_of(poses.next().within(10s), publish_again_later(of, publisher, place));
        CHECK_IN_TASK(both.has_value());
        CHECK_IN_TASK(poses.attached());
    });
}

TEST_CASE("a successor that cannot be attached to is an error, and the next try is a new one") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(8)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, reattaches(place)).within(10s));
        publisher.close();
        {
            WEIR_CO_TRY(auto other,
                        ipc::Publisher<std::uint64_t>::create(of, pose_topic, place.publishes(8)));
            for (int i = 0; i < 2; ++i) {
                const auto wrong = co_await poses.next().within(10s);
                CHECK_IN_TASK(code_of(wrong) == Errc::mismatch);
            }
        }
        const auto both =
            co_await all_of(poses.next().within(10s), publish_again_later(of, publisher, place));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("a sample of the publisher that is gone keeps its memory, and its subscriber from a successor") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(8)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, reattaches(place)).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 0, 1));
        {
            WEIR_CO_TRY(auto held, poses.next());
            publisher.close();
            WEIR_CO_TRY(publisher, PosePublisher::create(of, pose_topic, place.publishes(8)));
            WEIR_CO_CHECK(put(of, publisher, 50, 52));
            const auto next = co_await poses.next().within(10s);
            CHECK_IN_TASK(code_of(next) == Errc::busy);
            CHECK_IN_TASK(whole(*held, 0));
        }
        WEIR_CO_CHECK(expect(of, poses, 50, 52));
        CHECK_IN_TASK(poses.restarts() == 1);
    });
}

TEST_CASE("without that choice the end is told, and stays") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(8)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 0, 3));
        publisher.close();
        WEIR_CO_TRY(publisher, PosePublisher::create(of, pose_topic, place.publishes(8)));
        WEIR_CO_CHECK(expect(of, poses, 0, 3));
        for (int i = 0; i < 2; ++i) {
            const auto end = co_await poses.next().within(10s);
            CHECK_IN_TASK(code_of(end) == Errc::ended);
        }
        // The last word of the one that is gone.
        WEIR_CO_TRY(auto latest, poses.latest());
        CHECK_IN_TASK(whole(*latest, 2));
    });
}
