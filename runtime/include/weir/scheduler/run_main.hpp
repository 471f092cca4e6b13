// SPDX-License-Identifier: MIT
//
// A program in one line:
//
//     int main(int argc, char** argv) { return weir::run_main<weir::small_budget>(argc, argv, serve); }
#pragma once

#include "weir/core/report.hpp"
#include "weir/scheduler/real_time.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <cstddef>
#include <new>
#include <span>
#include <type_traits>

namespace weir {

/// The program's arguments, its own name first.
using Arguments = std::span<char* const>;

/// Runs the task function `serve(Scheduler&)` or `serve(Scheduler&, Arguments)` on a scheduler in static memory.
/// Returns 0 if it succeeds; else reports its error and returns 1. A program that was asked to stop (its root's
/// scope, or a group or combinator that the root task awaits) and is not over after Budget::grace_ms writes the tree
/// of its live tasks to standard error and exits with 70, by _exit. exit() inside a task ends the program as it is: no
/// task is unwound.
template <Budget budget = small_budget, class Serve>
    requires(TimerWheel::takes(budget.timer_slots))
int run_main(int argc, char** argv, Serve serve, const StartOptions& options = {}) noexcept {
    static constexpr Scheduler::Plan plan = Scheduler::plan_of(budget);
    // Made here rather than by the compiler: a static object that is not all zero would lie in the program's file, with
    // all its storage, and one with a destructor would need the C++ library for its guard and its end.
    alignas(Scheduler) static std::byte memory[sizeof(Scheduler)];
    alignas(16) static std::byte storage[plan.layout.size];
    struct Destroy {
        Scheduler& of;
        ~Destroy() { of.~Scheduler(); }
    };
    Scheduler& scheduler = *::new (static_cast<void*>(memory)) Scheduler(budget, storage, plan);
    const Destroy at_end{scheduler};
    const auto started = scheduler.start(options);
    if (!started) {
        report(started.error());
        if (const auto reason = scheduler.backend_reason(); !reason.empty()) report(reason);
        return 1;
    }
    scheduler.exit_when_stuck();
    const Arguments arguments(argv, static_cast<std::size_t>(argc));
    Result<void> outcome;
    if constexpr (std::is_invocable_v<Serve, Scheduler&, Arguments>) {
        outcome = scheduler.run(serve(scheduler, arguments));
    } else {
        outcome = scheduler.run(serve(scheduler));
    }
    if (outcome) return 0;
    report(outcome.error());
    return 1;
}

/// The same in real time. An error of become_real_time() is reported as one of the scheduler's start.
template <Budget budget = small_budget, class Serve>
    requires(TimerWheel::takes(budget.timer_slots))
int run_main(int argc, char** argv, Serve serve, const StartOptions& options,
             const RealTimeOptions& real_time) noexcept {
    // First: what the scheduler maps is locked, and it sees how many processors it has.
    if (const auto done = become_real_time(real_time); !done) {
        report(done.error());
        return 1;
    }
    return run_main<budget>(argc, argv, serve, options);
}

}  // namespace weir
