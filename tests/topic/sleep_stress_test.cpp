// SPDX-License-Identifier: MIT
//
// A publisher that waits for the slowest and two subscribers, each a process, that sleep at random, so that their waits
// begin and end at every distance from each other. A wait that its deadline ends although the other did its part is a
// wake-up that was lost. Each subscriber must get every sample.
//
//     WEIR_TOPIC_STRESS_S   seconds for each of the pairs (default 0.2)
#include "topic_place.hpp"

#include "support/skip.hpp"
#include "support/uring_probe.hpp"

#include <cstdlib>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::TopicPolicy;
using std::chrono::microseconds;

// Far beyond what a sleeping peer takes: who waits that long was not woken.
constexpr auto patience = 20s;

struct Run {
    BackendChoice publisher;
    BackendChoice subscriber;
    int cores;
    std::uint32_t seed;
    Duration span;
};

class Random {
public:
    explicit Random(std::uint32_t seed) noexcept : state_(seed * 2'654'435'761U + 1) {}
    std::uint32_t below(std::uint32_t limit) noexcept {
        state_ = state_ * 1'664'525U + 1'013'904'223U;
        return (state_ >> 8) % limit;
    }

private:
    std::uint32_t state_;
};

// Mostly works on, sometimes spins for a moment, sometimes sleeps.
Task<> dawdle(Scheduler& scheduler, Random& random) {
    const std::uint32_t choice = random.below(16);
    if (choice < 10) co_return;
    if (choice < 13) {
        const Instant until = after(scheduler.now(), microseconds(random.below(30)));
        while (scheduler.now() < until) {}
        co_return;
    }
    WEIR_CO_CHECK(sleep_for(microseconds(random.below(200))));
}

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

Task<> take_all(Scheduler& scheduler, const Place& place, Run run) {
    Random random(run.seed + 99);
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

constexpr Budget spinning{.frame_bytes = 32 * 1024, .descriptors = 16, .links = 4};
constexpr Budget never_spinning{.frame_bytes = 32 * 1024, .descriptors = 16, .links = 4, .spin_us = 0};

template <Budget budget, class Make>
int be(BackendChoice backend, Make make) {
    StaticScheduler<budget> scheduler;
    if (!scheduler.start({.backend = backend, .environment = false})) return 2;
    const auto outcome = scheduler.run(make(scheduler));
    if (outcome) return 0;
    std::fprintf(stderr, "%s\n", Running::text_of_error(outcome).c_str());
    return 1;
}

pid_t start(Run run, const Place& place, bool publishes) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int i = 0; i < run.cores; ++i) CPU_SET(static_cast<std::size_t>(i), &cores);
    if (::sched_setaffinity(0, sizeof(cores), &cores) != 0) ::_exit(3);
    const auto make = [&](Scheduler& scheduler) {
        return publishes ? publish_for(scheduler, place, run) : take_all(scheduler, place, run);
    };
    const BackendChoice backend = publishes ? run.publisher : run.subscriber;
    ::_exit(run.seed % 2 == 0 ? be<spinning>(backend, make) : be<never_spinning>(backend, make));
}

void stress(Run run) {
    INFO(text(run.publisher) << " to " << text(run.subscriber) << " on " << run.cores << " cores, seed "
                             << run.seed);
    const Place place;
    const pid_t publisher = start(run, place, true);
    const pid_t one = start(run, place, false);
    run.seed += 1;
    const pid_t other = start(run, place, false);
    for (const pid_t child : {publisher, one, other}) {
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
}

bool core_allowed(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    return ::sched_getaffinity(0, sizeof(cores), &cores) == 0 &&
           CPU_ISSET(static_cast<std::size_t>(core), &cores);
}

void stress_on(int cores) {
    const char* const asked = std::getenv("WEIR_TOPIC_STRESS_S");
    const auto span = saturating_ns(std::chrono::duration<double>(asked != nullptr ? std::atof(asked) : 0.2));
    const bool without_uring = !why_no_io_uring().empty();
    auto seed = static_cast<std::uint32_t>(first_seed());
    for (const auto publisher : {BackendChoice::epoll, BackendChoice::io_uring}) {
        for (const auto subscriber : {BackendChoice::epoll, BackendChoice::io_uring}) {
            if (without_uring &&
                (publisher == BackendChoice::io_uring || subscriber == BackendChoice::io_uring))
                continue;
            stress({publisher, subscriber, cores, seed++, span});
        }
    }
}

}  // namespace

TEST_CASE("a publisher and two subscribers that sleep at random lose no wake-up, on one core and on two") {
    if (!core_allowed(0)) skip("the first core is not allowed");
    stress_on(1);
    if (!core_allowed(1)) skip("a second core is not allowed");
    stress_on(2);
}
