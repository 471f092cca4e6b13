// SPDX-License-Identifier: MIT
//
// A publisher that waits for the slowest and two subscribers, each a process, that sleep at random, so that their waits
// begin and end at every distance from each other. A wait that its deadline ends although the other did its part is a
// wake-up that was lost. Each subscriber must get every sample.
//
//     WEIR_TOPIC_STRESS_S   seconds for each of the pairs (default 0.2)
#include "topic_place.hpp"

#include "io/restless.hpp"
#include "support/skip.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::TopicPolicy;

struct Run {
    BackendChoice publisher;
    BackendChoice subscriber;
    int cores;
    std::uint32_t seed;
    Duration span;
};

Task<> publish_for(Scheduler& scheduler, const Place& place, Run run) {
    Random random(run.seed);
    WEIR_CO_TRY(auto publisher,
                ipc::Publisher<Pose>::create(scheduler, pose_topic,
                                             place.publishes(4, TopicPolicy::wait_for_slowest)));
    while (publisher.subscribers() < 2) WEIR_CO_CHECK(sleep_for(1ms));
    const Instant until = after(scheduler.now(), run.span);
    while (scheduler.now() < until) {
        const Instant late = after(scheduler.now(), patience);
        WEIR_CO_TRY(auto sample, publisher.loan().by(late));
        // The end of a wait looks once more, so a value too can be the deadline's.
        if (scheduler.now() >= late) co_return co_await fail(Errc::timed_out, "a wake-up for space");
        *sample = pose_of(publisher.published());
        sample.publish();
        WEIR_CO_CHECK(dawdle(scheduler, random));
    }
}

Task<> take_all(Scheduler& scheduler, const Place& place, std::uint32_t seed) {
    Random random(seed + 99);
    WEIR_CO_TRY(auto poses,
                ipc::Subscriber<Pose>::open(scheduler, pose_topic, place.subscribes()).within(patience));
    for (std::uint64_t number = 0;; ++number) {
        const Instant late = after(scheduler.now(), patience);
        auto next = co_await poses.next().by(late);
        if (!next && next.error() == Errc::ended) {
            if (number < 10) co_return co_await fail(Errc::ended, "before much came");
            co_return;
        }
        WEIR_CO_TRY(auto sample, std::move(next));
        if (scheduler.now() >= late) co_return co_await fail(Errc::timed_out, "a wake-up for a sample");
        if (!whole(*sample, number))
            co_return co_await fail(Errc::corrupt, "a sample", sample->number, number);
        WEIR_CO_CHECK(dawdle(scheduler, random));
    }
}

void stress(const Run& run) {
    INFO(text(run.publisher) << " to " << text(run.subscriber) << " on " << run.cores << " cores, seed "
                             << run.seed);
    const Place place;
    const pid_t publisher = start_restless(run.cores, run.publisher, run.seed,
                                           [&](Scheduler& in) { return publish_for(in, place, run); });
    const auto subscribe = [&](std::uint32_t seed) {
        return start_restless(run.cores, run.subscriber, seed,
                              [&](Scheduler& in) { return take_all(in, place, seed); });
    };
    const pid_t one = subscribe(run.seed);
    const pid_t other = subscribe(run.seed + 1);
    must_all_succeed({publisher, one, other});
}

void stress_on(int cores) {
    on_each_pair("WEIR_TOPIC_STRESS_S", [cores](BackendChoice publisher, BackendChoice subscriber,
                                                std::uint32_t seed, Duration span) {
        stress({publisher, subscriber, cores, seed, span});
    });
}

}  // namespace

TEST_CASE("a publisher and two subscribers that sleep at random lose no wake-up, on one core and on two") {
    if (!core_allowed(0)) skip("the first core is not allowed");
    stress_on(1);
    if (!core_allowed(1)) skip("a second core is not allowed");
    stress_on(2);
}
