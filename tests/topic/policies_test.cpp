// SPDX-License-Identifier: MIT
//
// What becomes of subscribers that do not keep up, where the publisher does not simply overwrite.
#include "topic_place.hpp"

#include <array>
#include <optional>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::LinkTrust;
using ipc::TopicPolicy;

using Poses = ipc::Subscriber<Pose>;
using PosePublisher = ipc::Publisher<Pose>;

ipc::PublisherOptions waits(const Place& place, std::uint32_t depth) {
    return place.publishes(depth, TopicPolicy::wait_for_slowest);
}
ipc::PublisherOptions drops(const Place& place, std::uint32_t depth) {
    return place.publishes(depth, TopicPolicy::drop_subscriber);
}

Task<> expect_slowly(Scheduler& scheduler, Poses& poses, std::uint64_t to, std::uint64_t pause_after) {
    for (std::uint64_t i = 0; i < to; ++i) {
        WEIR_CO_CHECK(expect(scheduler, poses, i, i + 1));
        if (i % pause_after == 0) WEIR_CO_CHECK(sleep_for(50us));
    }
}

Task<Errc> how_it_ends(Scheduler&, Poses& poses) {
    for (;;) {
        const auto next = co_await poses.next().within(10s);
        if (!next) co_return next.error().code;
        CHECK_IN_TASK(next->missed() == 0);
    }
}

}  // namespace

TEST_CASE("a publisher that waits for the slowest lets nobody miss anything") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, waits(place, 4)));
        WEIR_CO_TRY(auto fast, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto slow, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto stranger, Poses::open(of, pose_topic, place.subscribes_as_stranger()).within(10s));
        const auto all =
            co_await all_of(put(of, publisher, 0, 300), expect_slowly(of, fast, 300, 50),
                            expect_slowly(of, slow, 300, 7), expect_slowly(of, stranger, 300, 20));
        CHECK_IN_TASK(all.has_value());
        CHECK_IN_TASK(publisher.dropped() == 0);
    });
}

TEST_CASE("a loan waits until the slowest has taken what it takes the place of") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        ipc::PublisherOptions options = waits(place, 4);
        options.loans = 2;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        // Nobody is there to wait for.
        WEIR_CO_CHECK(put(of, publisher, 0, 20));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 20, 23));
        {
            // A loan that is out counts as if it were published.
            WEIR_CO_TRY(auto last, publisher.loan());
            const auto full = publisher.try_loan();
            CHECK_IN_TASK(code_of(full) == Errc::would_block);
            *last = pose_of(23);
            last.publish();
        }
        const auto late = co_await publisher.loan().within(1ms);
        CHECK_IN_TASK(code_of(late) == Errc::timed_out);
        {
            // What is held is pinned: its entry may be given to another.
            WEIR_CO_TRY(auto held, poses.next());
            WEIR_CO_CHECK(put(of, publisher, 24, 25));
            CHECK_IN_TASK(whole(*held, 20));
        }
        WEIR_CO_CHECK(expect(of, poses, 21, 25));
        WEIR_CO_CHECK(put(of, publisher, 25, 29));
        const auto closes = [](Scheduler&, Poses& whom) -> Task<> {
            WEIR_CO_CHECK(sleep_for(1ms));
            whom.close();
        };
        const auto both = co_await all_of(put(of, publisher, 29, 40), closes(of, poses));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE(
    "who joins a publisher that waits gets up to half of its depth as history, and misses nothing from "
    "there") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, waits(place, 8)));
        WEIR_CO_CHECK(put(of, publisher, 0, 30));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes(8)).within(10s));
        const auto both = co_await all_of(put(of, publisher, 30, 60), expect(of, poses, 26, 60));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("loans that are out when a subscriber comes may take away history that it saw, and nothing else") {
    for (const TopicPolicy policy : {TopicPolicy::wait_for_slowest, TopicPolicy::drop_subscriber}) {
        on_each([=](Scheduler& of, const Place& place) -> Task<> {
            ipc::PublisherOptions options = place.publishes(8, policy);
            options.loans = 6;
            WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
            WEIR_CO_CHECK(put(of, publisher, 0, 30));
            std::array<std::optional<ipc::Loan<Pose>>, 6> loans;
            for (auto& each : loans) {
                WEIR_CO_TRY(auto loan, publisher.loan());
                each.emplace(std::move(loan));
            }
            WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes(4)).within(10s));
            std::uint64_t number = 30;
            for (auto& each : loans) {
                **each = pose_of(number++);
                each->publish();
            }
            // It saw 26 to 29; six more in eight places leave two of them.
            WEIR_CO_CHECK(expect(of, poses, 28, 36));
            WEIR_CO_CHECK(put(of, publisher, 36, 40));
            WEIR_CO_CHECK(expect(of, poses, 36, 40));
        });
    }
}

TEST_CASE("a stranger that holds up a publisher beyond its patience is dropped, and told so") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        ipc::PublisherOptions options = waits(place, 4);
        options.patience = 1ms;
        options.link.trust = LinkTrust::nobody;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        WEIR_CO_TRY(auto slow, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        const auto both = co_await all_of(put(of, publisher, 0, 20), expect(of, poses, 0, 20));
        CHECK_IN_TASK(both.has_value());
        CHECK_IN_TASK(publisher.dropped() == 1);
        CHECK_IN_TASK(publisher.subscribers() == 1);
        const auto end = co_await how_it_ends(of, slow);
        CHECK_IN_TASK(end.has_value());
        if (end) CHECK_IN_TASK(*end == Errc::overflow);
        const auto still = co_await slow.next();
        CHECK_IN_TASK(code_of(still) == Errc::overflow);
        // One of the own user is waited for.
        const auto both_again = co_await all_of(put(of, publisher, 20, 30), expect(of, poses, 20, 30));
        CHECK_IN_TASK(both_again.has_value());
    });
}

TEST_CASE("a trusted subscriber is waited for however long it takes") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        ipc::PublisherOptions options = waits(place, 2);
        options.patience = 1ms;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        const auto late = co_await put(of, publisher, 0, 3).within(10ms);
        CHECK_IN_TASK(code_of(late) == Errc::timed_out);
        CHECK_IN_TASK(publisher.dropped() == 0);
        WEIR_CO_CHECK(expect(of, poses, 0, 2));
    });
}

TEST_CASE("a publisher that drops the slow ones never waits, and the others miss nothing") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, drops(place, 4)));
        WEIR_CO_TRY(auto slow, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        for (std::uint64_t i = 0; i < 30; i += 3) {
            WEIR_CO_CHECK(put(of, publisher, i, i + 3));
            WEIR_CO_CHECK(expect(of, poses, i, i + 3));
        }
        CHECK_IN_TASK(publisher.dropped() == 1);
        const auto end = co_await how_it_ends(of, slow);
        CHECK_IN_TASK(end.has_value());
        if (end) CHECK_IN_TASK(*end == Errc::overflow);
    });
}

TEST_CASE("one that is dropped while it waits for nothing is told at its next await") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, drops(place, 2)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 0, 2));
        WEIR_CO_CHECK(expect(of, poses, 0, 2));
        // From here on it would be in time for two more, but not for three.
        WEIR_CO_CHECK(put(of, publisher, 2, 5));
        const auto end = co_await poses.next().within(10s);
        CHECK_IN_TASK(code_of(end) == Errc::overflow);
        CHECK_IN_TASK(publisher.subscribers() == 0);
    });
}

TEST_CASE("what a dropped subscriber holds stays as it is until it lets go, and then its place is free") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        ipc::PublisherOptions options = drops(place, 2);
        options.subscribers_max = 1;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 0, 2));
        {
            WEIR_CO_TRY(auto held, poses.next());
            WEIR_CO_CHECK(put(of, publisher, 2, 300));
            CHECK_IN_TASK(publisher.dropped() == 1);
            const auto end = co_await poses.next().within(10s);
            CHECK_IN_TASK(code_of(end) == Errc::overflow);
            const auto latest = poses.latest();
            CHECK_IN_TASK(code_of(latest) == Errc::overflow);
            WEIR_CO_CHECK(put(of, publisher, 300, 600));
            CHECK_IN_TASK(whole(*held, 0));
            const auto full = co_await Poses::open(of, pose_topic, place.subscribes()).within(10s);
            CHECK_IN_TASK(code_of(full) == Errc::no_place);
        }
        WEIR_CO_TRY(auto next, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 600, 602));
        WEIR_CO_CHECK(expect(of, next, 600, 602));
        const auto still = co_await poses.next();
        CHECK_IN_TASK(code_of(still) == Errc::overflow);
    });
}
