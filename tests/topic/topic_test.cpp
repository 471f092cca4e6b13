// SPDX-License-Identifier: MIT
//
// A publisher and its subscribers in one scheduler.
#include "topic_place.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::LinkTrust;
using ipc::Publisher;
using ipc::Subscriber;
using ipc::TopicPolicy;

using Poses = Subscriber<Pose>;
using PosePublisher = Publisher<Pose>;

Task<std::uint64_t> count_up_to_the_end(Scheduler&, Poses& poses) {
    for (std::uint64_t i = 0;; ++i) {
        auto next = co_await poses.next().within(10s);
        if (!next && next.error() == Errc::ended) co_return i;
        WEIR_CO_TRY(auto sample, std::move(next));
        CHECK_IN_TASK(whole(*sample, i));
        CHECK_IN_TASK(sample.sequence() == i);
    }
}
Task<> put_and_close(Scheduler& scheduler, PosePublisher& publisher, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; i += 4) {
        WEIR_CO_CHECK(put(scheduler, publisher, i, i + 4));
        WEIR_CO_CHECK(sleep_for(100us));
    }
    publisher.close();
}

}  // namespace

TEST_CASE("every subscriber gets every sample in order, and learns that the publisher ended") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(64)));
        WEIR_CO_TRY(auto one, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto other, Poses::open(of, pose_topic, place.subscribes_as_stranger()).within(10s));
        CHECK_IN_TASK(publisher.subscribers() == 2);
        CHECK_IN_TASK(one.in_place());
        CHECK_IN_TASK(!other.in_place());
        const auto all = co_await all_of(put_and_close(of, publisher, 400), count_up_to_the_end(of, one),
                                         count_up_to_the_end(of, other));
        CHECK_IN_TASK(all.has_value());
        if (all) CHECK_IN_TASK(std::get<1>(*all) == 400);
        if (all) CHECK_IN_TASK(std::get<2>(*all) == 400);
        const auto still = co_await one.next();
        CHECK_IN_TASK(code_of(still) == Errc::ended);
    });
}

TEST_CASE("a subscriber that does not keep up learns exactly how many samples it missed") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(4)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        std::uint64_t published = 0;
        std::uint64_t next = 0;
        for (const std::uint64_t count : {3U, 4U, 5U, 6U, 50U, 1U}) {
            WEIR_CO_CHECK(put(of, publisher, published, published + count));
            published += count;
            const std::uint64_t expected = std::max(next, published - std::min<std::uint64_t>(published, 4));
            WEIR_CO_TRY(auto sample, poses.next());
            CHECK_IN_TASK(sample.missed() == expected - next);
            CHECK_IN_TASK(whole(*sample, expected));
            next = expected + 1;
        }
    });
}

TEST_CASE("one that wants only the last two is never behind by more") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(16)));
        ipc::SubscriberOptions options = place.subscribes();
        options.depth = 2;
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, options).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 0, 7));
        {
            WEIR_CO_TRY(auto sample, poses.next());
            CHECK_IN_TASK(sample.missed() == 5);
            CHECK_IN_TASK(whole(*sample, 5));
        }
        WEIR_CO_CHECK(expect(of, poses, 6, 7));
    });
}

TEST_CASE("a late subscriber gets the history that it asks for, and the latest value in any case") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(8)));
        {
            WEIR_CO_TRY(auto early, Poses::open(of, pose_topic, place.subscribes(3)).within(10s));
            const auto none = early.latest();
            CHECK_IN_TASK(code_of(none) == Errc::would_block);
        }
        WEIR_CO_CHECK(put(of, publisher, 0, 20));
        {
            WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes(3)).within(10s));
            WEIR_CO_CHECK(expect(of, poses, 17, 20));
        }
        {
            WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes(100)).within(10s));
            WEIR_CO_CHECK(expect(of, poses, 12, 20));
        }
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        const auto nothing = poses.try_next();
        CHECK_IN_TASK(code_of(nothing) == Errc::would_block);
        for (int i = 0; i < 3; ++i) {
            WEIR_CO_TRY(auto latest, poses.latest());
            CHECK_IN_TASK(whole(*latest, 19));
            CHECK_IN_TASK(latest.missed() == 0);
        }
        WEIR_CO_CHECK(put(of, publisher, 20, 24));
        {
            WEIR_CO_TRY(auto latest, poses.latest());
            CHECK_IN_TASK(whole(*latest, 23));
            CHECK_IN_TASK(latest.missed() == 3);
        }
        WEIR_CO_CHECK(put(of, publisher, 24, 25));
        WEIR_CO_CHECK(expect(of, poses, 24, 25));
    });
}

TEST_CASE("a sample that is held stays as it is, whatever is published meanwhile") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(2)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto stranger, Poses::open(of, pose_topic, place.subscribes_as_stranger()).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 0, 2));
        WEIR_CO_TRY(auto held, poses.next());
        WEIR_CO_TRY(auto copied, stranger.next());
        {
            WEIR_CO_TRY(auto second, poses.next());
            const auto third = co_await poses.next();
            CHECK_IN_TASK(code_of(third) == Errc::busy);
            const auto latest = poses.latest();
            CHECK_IN_TASK(code_of(latest) == Errc::busy);
            WEIR_CO_CHECK(put(of, publisher, 2, 500));
            CHECK_IN_TASK(whole(*second, 1));
        }
        CHECK_IN_TASK(whole(*held, 0));
        CHECK_IN_TASK(whole(*copied, 0));
        WEIR_CO_TRY(auto next, poses.next());
        CHECK_IN_TASK(next.missed() == 496);
        CHECK_IN_TASK(whole(*next, 498));
    });
}

TEST_CASE("loans are published in any order, and one that is dropped was never there") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        ipc::PublisherOptions options = place.publishes(4);
        options.loans = 3;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        for (std::uint64_t round = 0; round < 20; ++round) {
            WEIR_CO_TRY(auto first, publisher.loan());
            WEIR_CO_TRY(auto second, publisher.loan());
            WEIR_CO_TRY(auto third, publisher.loan());
            const auto fourth = co_await publisher.loan();
            CHECK_IN_TASK(code_of(fourth) == Errc::busy);
            const auto tried = publisher.try_loan();
            CHECK_IN_TASK(code_of(tried) == Errc::busy);
            *third = pose_of(2 * round);
            *first = pose_of(2 * round + 1);
            third.publish();
            second.abandon();
            first.publish();
            WEIR_CO_CHECK(expect(of, poses, 2 * round, 2 * round + 2));
        }
        CHECK_IN_TASK(publisher.published() == 40);
    });
}

TEST_CASE("a topic has one publisher, one type, and as many subscribers as it was made for") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        ipc::PublisherOptions options = place.publishes(4);
        options.subscribers_max = 1;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        const auto again = PosePublisher::create(of, pose_topic, options);
        CHECK_IN_TASK(code_of(again) == Errc::in_use);
        const auto other =
            co_await Subscriber<std::uint64_t>::open(of, pose_topic, place.subscribes()).within(10s);
        CHECK_IN_TASK(code_of(other) == Errc::mismatch);
        {
            WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
            CHECK_IN_TASK(poses.depth() == 4);
            const auto second = co_await Poses::open(of, pose_topic, place.subscribes()).within(10s);
            CHECK_IN_TASK(code_of(second) == Errc::no_place);
            if (!second) CHECK_IN_TASK(second.error().b == 1);
        }
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_CHECK(put(of, publisher, 0, 3));
        WEIR_CO_CHECK(expect(of, poses, 0, 3));
        poses.close();
        const auto closed = co_await poses.next();
        CHECK_IN_TASK(code_of(closed) == Errc::closed);
        publisher.close();
        const auto loan = co_await publisher.loan();
        CHECK_IN_TASK(code_of(loan) == Errc::closed);
    });
}

TEST_CASE("a user that is not trusted gets all places but one") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        ipc::PublisherOptions options = place.publishes(4);
        options.subscribers_max = 3;
        options.link.trust = ipc::LinkTrust::nobody;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        WEIR_CO_TRY(auto first, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto second, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        const auto third = co_await Poses::open(of, pose_topic, place.subscribes()).within(10s);
        CHECK_IN_TASK((code_of(third) == Errc::no_place && third.error().b == 2));
    });
}

TEST_CASE("numbers that cannot be are refused when the topic is made") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto code_with = [&](auto change) {
            ipc::PublisherOptions options = place.publishes(4);
            change(options);
            return code_of(PosePublisher::create(of, pose_topic, options));
        };
        using Options = ipc::PublisherOptions;
        for (const std::uint32_t depth : {0U, 3U, 1U << 25})
            CHECK_IN_TASK(code_with([&](Options& options) { options.depth = depth; }) == Errc::invalid);
        for (const std::uint32_t loans : {0U, 1'025U})
            CHECK_IN_TASK(code_with([&](Options& options) { options.loans = loans; }) == Errc::invalid);
        for (const std::uint32_t count : {0U, 1'025U})
            CHECK_IN_TASK(code_with([&](Options& options) { options.subscribers_max = count; }) ==
                          Errc::invalid);
        for (const std::uint32_t loans : {0U, 32U})
            CHECK_IN_TASK(code_with([&](Options& options) { options.subscriber_loans = loans; }) ==
                          Errc::invalid);
        struct Large {
            std::array<std::uint64_t, 1 << 20> words;
        };
        const auto large = Publisher<Large>::create(of, pose_topic, place.publishes(256));
        CHECK_IN_TASK(code_of(large) == Errc::too_large);
        co_return;
    });
}

TEST_CASE(
    "a second task at the same subscriber is turned away, a stop ends a wait, and what came wins over it") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, place.publishes(4)));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        {
            const auto arms = co_await first_of(poses.next(), poses.next(), sleep_for(10s));
            CHECK_IN_TASK(arms.index() == 1);
            CHECK_IN_TASK(code_of(arms.get<1>()) == Errc::busy);
            CHECK_IN_TASK(code_of(arms.get<0>()) == Errc::cancelled);
        }
        {
            const auto late = co_await poses.next().within(1ms);
            CHECK_IN_TASK(code_of(late) == Errc::timed_out);
        }
        const auto arms = co_await first_of(poses.next(), put(of, publisher, 5, 6));
        CHECK_IN_TASK(arms.index() == 1);
        CHECK_IN_TASK(arms.get<0>().has_value());
        if (arms.get<0>()) CHECK_IN_TASK(whole(**arms.get<0>(), 5));
    });
}

TEST_CASE("publisher and subscriber can be moved while nothing of them is in use") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto made, PosePublisher::create(of, pose_topic, place.publishes(4)));
        WEIR_CO_TRY(auto opened, Poses::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_CHECK(put(of, made, 0, 6));
        PosePublisher publisher(std::move(made));
        Poses poses;
        poses = std::move(opened);
        WEIR_CO_CHECK(put(of, publisher, 6, 8));
        {
            WEIR_CO_TRY(auto sample, poses.next());
            CHECK_IN_TASK(sample.missed() == 4);
        }
        WEIR_CO_CHECK(expect(of, poses, 5, 8));
        const auto both = co_await all_of(expect(of, poses, 8, 12), put(of, publisher, 8, 12));
        CHECK_IN_TASK(both.has_value());
        WEIR_CO_TRY(auto second, Poses::open(of, pose_topic, place.subscribes(1)).within(10s));
        WEIR_CO_CHECK(expect(of, second, 11, 12));
    });
}

TEST_CASE("samples of megabytes are filled and used in place") {
    struct Image {
        std::array<std::uint32_t, 1 << 20> pixels;
    };
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        ipc::PublisherOptions options = place.publishes(2);
        options.subscriber_loans = 1;
        options.subscribers_max = 2;
        WEIR_CO_TRY(auto publisher, Publisher<Image>::create(of, pose_topic, options));
        WEIR_CO_TRY(auto images, Subscriber<Image>::open(of, pose_topic, place.subscribes()).within(10s));
        WEIR_CO_TRY(auto copies,
                    Subscriber<Image>::open(of, pose_topic, place.subscribes_as_stranger()).within(10s));
        for (std::uint32_t round = 0; round < 8; ++round) {
            {
                WEIR_CO_TRY(auto loan, publisher.loan());
                loan->pixels.front() = round;
                loan->pixels.back() = ~round;
                loan.publish();
            }
            WEIR_CO_TRY(auto image, images.next());
            CHECK_IN_TASK(image->pixels.front() == round);
            CHECK_IN_TASK(image->pixels.back() == ~round);
            WEIR_CO_TRY(auto copy, copies.next());
            CHECK_IN_TASK(copy->pixels.front() == round);
            CHECK_IN_TASK(copy->pixels.back() == ~round);
        }
    });
}
