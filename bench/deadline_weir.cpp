// SPDX-License-Identifier: MIT
//
// bench_deadline_weir: a task that sleeps until each deadline, beside 32 tasks that sleep until the same ones, and then pass
// 64 bytes through a pipe of their own.
//
//   real-time   with RealTimeOptions: SCHED_FIFO, and all memory locked
//   normal      without
//
// At each deadline the task also yields once: all that is ready runs before it goes on, so this is how long a turn takes.

#include "deadline.hpp"
#include "measurement.hpp"

#include "weir/core/report.hpp"
#include "weir/coro/group.hpp"
#include "weir/coro/sleep.hpp"
#include "weir/io/pipe.hpp"
#include "weir/scheduler/real_time.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace bench {

namespace {

constexpr std::size_t others_count = 32;
constexpr weir::Budget budget{.frame_bytes = 64 * 1024, .submissions = 128, .descriptors = 128, .links = 2};
constinit weir::StaticScheduler<budget> scheduler;
constexpr weir::Duration period = std::chrono::nanoseconds(deadline_period_ns);

/// The next one that can still be met: those that passed meanwhile could not.
weir::Instant deadline_after(weir::Instant due) {
    do due += period;
    while (due <= weir::MonotonicClock::now());
    return due;
}

weir::Task<> pass_bytes(weir::Scheduler&, weir::Instant due) {
    WEIR_CO_TRY(auto pipe, weir::Pipe::create());
    std::array<std::byte, 64> bytes{};
    for (;; due = deadline_after(due)) {
        WEIR_CO_CHECK(weir::sleep_until(due));
        WEIR_CO_CHECK(pipe.writer.write_all(bytes));
        WEIR_CO_CHECK(pipe.reader.read(bytes));
    }
}

weir::Task<> wait_for_each(weir::Scheduler&, weir::Instant due, Deadlines& deadlines) {
    for (std::size_t i = 0; i < deadlines.count; ++i) {
        WEIR_CO_CHECK(weir::sleep_until(due));
        const weir::Instant seen = weir::MonotonicClock::now();
        deadlines.late_ns[i] = static_cast<std::uint64_t>((seen - due).count());
        WEIR_CO_CHECK(weir::yield());
        const auto turn_ns = static_cast<std::uint64_t>((weir::MonotonicClock::now() - seen).count());
        deadlines.longest_turn_ns = std::max(deadlines.longest_turn_ns, turn_ns);
        due = deadline_after(due);
    }
}

weir::Task<> serve(weir::Scheduler& on, weir::Group& group, Deadlines* deadlines) {
    const weir::Instant first = weir::MonotonicClock::now() + 10 * period;
    for (std::size_t i = 0; i < others_count; ++i) WEIR_CO_CHECK(group.spawn(pass_bytes(on, first)));
    WEIR_CO_CHECK(wait_for_each(on, first, *deadlines));
    group.request_stop();
}

weir::Task<> measure(weir::Scheduler& on, Deadlines& deadlines) {
    WEIR_CO_CHECK(weir::with_group<others_count>(on, serve, &deadlines));
}

void run(Deadlines& deadlines) {
    if (!scheduler.start()) fail("the scheduler does not start");
    const auto result = scheduler.run(measure(scheduler, deadlines));
    if (result) return;
    weir::report(result.error());
    std::exit(1);
}
void run_in_real_time(Deadlines& deadlines) {
    if (const auto became = weir::become_real_time({.lock_memory = true, .fifo_priority = deadline_priority});
        !became)
        skip("this needs RLIMIT_RTPRIO and RLIMIT_MEMLOCK, or root");
    run(deadlines);
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    const std::string_view how = argc == 3 ? argv[1] : "";
    if (how == "real-time") return bench::measure_deadlines(argv[2], bench::run_in_real_time);
    if (how == "normal") return bench::measure_deadlines(argv[2], bench::run);
    std::fprintf(stderr, "usage: %s real-time|normal DEADLINES\n", argv[0]);
    return 2;
}
