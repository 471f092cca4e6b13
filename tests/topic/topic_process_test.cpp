// SPDX-License-Identifier: MIT
//
// A topic between processes, one of which is killed.
#include "topic_place.hpp"

#include "io/victim.hpp"
#include "shm/starved.hpp"

#include <atomic>
#include <random>

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

/// Says so when it had `count` samples, all of them.
Task<> take_as_another_user(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    const uid_t user = ::geteuid();
    become_a_stranger();
    WEIR_CO_TRY(auto poses, Poses::open(scheduler, pose_topic, place.subscribes()).within(30s));
    if (poses.in_place() != (::geteuid() == user)) co_return co_await fail(Errc::invalid, "in place");
    for (std::uint64_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto sample, poses.next().within(30s));
        if (!whole(*sample, i) || sample.missed() != 0) co_return co_await fail(Errc::corrupt, "a sample", i);
    }
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

/// Says so when it begins, and when it has missed some and then came to `last`.
Task<> count_what_was_missed(Scheduler& scheduler, const Place& place, std::uint64_t last, int say_to) {
    WEIR_CO_TRY(auto poses, Poses::open(scheduler, pose_topic, place.subscribes()).within(30s));
    std::uint64_t next = 0;
    std::uint64_t missed = 0;
    while (next <= last) {
        WEIR_CO_TRY(auto sample, poses.next().within(30s));
        if (next == 0) say(say_to);
        if (!whole(*sample, sample.sequence())) co_return co_await fail(Errc::corrupt, "a sample");
        if (sample.sequence() != next + sample.missed()) co_return co_await fail(Errc::corrupt, "the count");
        next = sample.sequence() + 1;
        missed += sample.missed();
    }
    if (missed > 0) say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

/// Publishes what nobody missed, as fast as its subscribers take it.
Task<> publish_on(Scheduler& scheduler, const Place& place, int say_to) {
    const auto options = place.publishes(4, TopicPolicy::wait_for_slowest);
    WEIR_CO_TRY(auto publisher, PosePublisher::create(scheduler, pose_topic, options));
    say(say_to);
    while (publisher.subscribers() == 0) WEIR_CO_CHECK(sleep_for(1ms));
    for (std::uint64_t i = 0;; ++i) {
        WEIR_CO_TRY(auto sample, publisher.loan());
        *sample = pose_of(i);
        sample.publish();
    }
}
Task<> take_and_say(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    WEIR_CO_TRY(auto poses, Poses::open(scheduler, pose_topic, place.subscribes()).within(30s));
    WEIR_CO_CHECK(expect(scheduler, poses, 0, count));
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

/// Attaches again and again, and writes what it likes wherever it can: nonsense, and things that are nearly right.
Task<> scribble(Scheduler& scheduler, const Place& place, int say_to) {
    std::mt19937 random(7);
    const auto draw = [&](std::uint32_t below) { return static_cast<std::uint32_t>(random() % below); };
    bool said = false;
    for (;;) {
        auto attached = co_await ipc::open_link(pose_topic, ipc::topic::shape_of<Pose>().terms(0),
                                                {.directory = &place.directory})
                            .within(30s);
        if (!attached) {
            WEIR_CO_CHECK(sleep_for(1ms));
            continue;
        }
        ipc::LinkClient client = std::move(*attached);
        if (!std::exchange(said, true)) say(say_to);
        const Bytes own = client->own();
        void* const memory = own.data();
        auto& words = std::launder(static_cast<ipc::topic::SubscriberRegion*>(memory))->words;
        const Instant until = after(scheduler.now(), std::chrono::milliseconds(draw(20)));
        while (client->state() == ipc::LinkState::attached && scheduler.now() < until) {
            for (int i = 0; i < 50; ++i) {
                switch (draw(16)) {
                    case 0:
                        own[draw(static_cast<std::uint32_t>(own.size()))] = static_cast<std::byte>(draw(256));
                        break;
                    case 1: words.position = draw(10'000); break;
                    case 2: words.position.fetch_add(draw(3)); break;
                    case 3: words.pins[draw(31)] = draw(1'000); break;
                    case 4: client->ring_bell(); break;
                    case 5: words.epoch.fetch_add(1); break;
                    default: words.pins[draw(31)] = draw(24); break;
                }
            }
            WEIR_CO_CHECK(yield());
        }
    }
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
        options.successor = ipc::Successor::await;
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

TEST_CASE("a subscriber of another user gets copies, and all of them") {
    skip_where_simulated();
    const Place place;
    Victim stranger([&](Scheduler& in, int say_to) { return take_as_another_user(in, place, 300, say_to); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, int told) -> Task<> {
        ipc::PublisherOptions options = where.publishes(8, TopicPolicy::wait_for_slowest);
        options.patience = 30s;
        options.link.mode = 0666;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        while (publisher.subscribers() == 0) WEIR_CO_CHECK(sleep_for(1ms));
        WEIR_CO_CHECK(put(of, publisher, 0, 300));
        WEIR_CO_CHECK(readable(told).within(30s));
    }(*running, place, stranger.told()));
    stranger.wait_until_it_says();
}

TEST_CASE(
    "a subscriber that is stopped keeps its publisher from nothing, and counts what it missed meanwhile") {
    skip_where_simulated();
    const Place place;
    Victim subscriber(
        [&](Scheduler& in, int say_to) { return count_what_was_missed(in, place, 1'000, say_to); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& whom) -> Task<> {
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, where.publishes(8)));
        while (publisher.subscribers() == 0) WEIR_CO_CHECK(sleep_for(1ms));
        WEIR_CO_CHECK(put(of, publisher, 0, 1));
        WEIR_CO_CHECK(readable(whom.told()).within(30s));
        whom.wait_until_it_says();
        ::kill(whom.pid(), SIGSTOP);
        WEIR_CO_CHECK(put(of, publisher, 1, 1'000));
        ::kill(whom.pid(), SIGCONT);
        WEIR_CO_CHECK(put(of, publisher, 1'000, 1'001));
        WEIR_CO_CHECK(readable(whom.told()).within(30s));
    }(*running, place, subscriber));
    subscriber.wait_until_it_says();
}

TEST_CASE(
    "a publisher that is stopped is not lost: its subscribers' deadlines pass, and then its samples go on") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return publish_on(in, place, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& publisher) -> Task<> {
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, where.subscribes()).within(30s));
        std::uint64_t next = 0;
        for (int round = 0; round < 3; ++round) {
            publisher.stop();
            for (bool late = false; !late;) {
                const auto sample = co_await poses.next().within(2ms);
                late = code_of(sample) == Errc::timed_out;
                if (!late) CHECK_IN_TASK((sample && whole(**sample, next++)));
            }
            // A name whose server is stopped takes nobody; who waits is let in when it goes on.
            const auto another = co_await Poses::open(of, pose_topic, where.subscribes()).within(2ms);
            CHECK_IN_TASK(code_of(another) == Errc::timed_out);
            publisher.go_on();
            WEIR_CO_CHECK(expect(of, poses, next, next + 100));
            next += 100;
        }
        WEIR_CO_TRY(auto another, Poses::open(of, pose_topic, where.subscribes()).within(30s));
        CHECK_IN_TASK(another.attached());
    }(*running, place, victim));
}

TEST_CASE(
    "a publisher waits for a subscriber that is stopped within its deadlines, and that one misses nothing") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return take_and_say(in, place, 40, say_to); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& subscriber) -> Task<> {
        const auto options = where.publishes(4, TopicPolicy::wait_for_slowest);
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        while (publisher.subscribers() == 0) WEIR_CO_CHECK(sleep_for(1ms));
        subscriber.stop();
        WEIR_CO_CHECK(put(of, publisher, 0, 4));
        const auto full = co_await publisher.loan().within(5ms);
        CHECK_IN_TASK(code_of(full) == Errc::timed_out);
        subscriber.go_on();
        WEIR_CO_CHECK(put(of, publisher, 4, 40));
        WEIR_CO_CHECK(readable(subscriber.told()).within(30s));
        CHECK_IN_TASK(publisher.dropped() == 0);
    }(*running, place, victim));
    victim.wait_until_it_says();
}

TEST_CASE("without descriptors, on either side, nobody subscribes, and who has subscribed goes on") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return publish_on(in, place, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& publisher) -> Task<> {
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, where.subscribes()).within(30s));
        const auto opens = [](Scheduler& in, const Place& at) -> Task<Poses> {
            WEIR_CO_TRY(auto more, Poses::open(in, pose_topic, at.subscribes()).within(200ms));
            co_return more;
        };
        {
            const FilesUsedUp none;
            const auto more = co_await opens(of, where);
            CHECK_IN_TASK(code_of(more) == Errc::no_files);
        }
        const auto takes = [](Scheduler& in, Poses& of_first, std::atomic<bool>& enough) -> Task<> {
            for (std::uint64_t i = 0; !enough; ++i) {
                WEIR_CO_CHECK(expect(in, of_first, i, i + 1));
                if (i % 32 == 0) WEIR_CO_CHECK(sleep_for(1ms));
            }
        };
        const auto tries = [](Scheduler& in, pid_t server, auto open, const Place& at,
                              std::atomic<bool>& enough) -> Task<> {
            const auto refusals = co_await open_while_server_lacks_files(in, server, open, at);
            enough = true;
            CHECK_IN_TASK((refusals && refusals->late > 0 && refusals->no_files > 0));
        };
        std::atomic<bool> enough{false};
        WEIR_CO_CHECK(all_of(takes(of, poses, enough), tries(of, publisher.pid(), opens, where, enough)));
    }(*running, place, victim));
}

TEST_CASE(
    "without memory, or room in its directory, no topic is made and nothing is left, and later one is") {
    if (on_simulated()) skip("what the kernel refuses is asked for once, on a real backend");
    check_starved(true, [](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
        const ipc::PublisherOptions options{.depth = 8, .link = {.directory = &directory}};
        return code_of(PosePublisher::create(scheduler, pose_topic, options));
    });
}

TEST_CASE("a publisher that can map no more tells who subscribes so, and lets it in when it can") {
    skip_where_simulated();
    if (!AddressesUsedUp::possible()) skip("RLIMIT_AS limits nothing here: an emulator, or a sanitizer");
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return publish_on(in, place, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& publisher) -> Task<> {
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, where.subscribes()).within(30s));
        const auto opens = [](Scheduler& in, const Place& at) -> Task<Poses> {
            WEIR_CO_TRY(auto more, Poses::open(in, pose_topic, at.subscribes()).within(30s));
            co_return more;
        };
        WEIR_CO_CHECK(open_while_server_lacks_memory(of, publisher.pid(), opens, where));
        WEIR_CO_CHECK(expect(of, poses, 0, 100));
    }(*running, place, victim));
}

TEST_CASE("a stranger that scribbles over all that it can write takes nothing from the others") {
    skip_where_simulated();
    const Place place;
    Victim stranger([&](Scheduler& in, int say_to) {
        become_a_stranger();
        return scribble(in, place, say_to);
    });
    const Duration span = hostile_span(500ms);
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& hostile, Duration how_long) -> Task<> {
        ipc::PublisherOptions options = where.publishes(16, TopicPolicy::wait_for_slowest);
        options.patience = 2ms;
        options.subscribers_max = 2;
        options.link.mode = 0666;
        // Where the stranger cannot be another user, it is treated as one all the same.
        options.link.trust = ipc::LinkTrust::nobody;
        WEIR_CO_TRY(auto publisher, PosePublisher::create(of, pose_topic, options));
        WEIR_CO_TRY(auto poses, Poses::open(of, pose_topic, where.subscribes()).within(30s));
        WEIR_CO_CHECK(readable(hostile.told()).within(30s));
        const Instant until = after(of.now(), how_long);
        std::uint64_t next = 0;
        while (of.now() < until || publisher.dropped() == 0) {
            WEIR_CO_CHECK(put(of, publisher, next, next + 8));
            WEIR_CO_CHECK(expect(of, poses, next, next + 8));
            next += 8;
            if (next % 64 == 0) WEIR_CO_CHECK(yield());
        }
        CHECK_IN_TASK(poses.attached());
        CHECK_IN_TASK(publisher.subscribers() >= 1);
        hostile.kill();
    }(*running, place, stranger, span));
}
