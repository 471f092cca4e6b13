// SPDX-License-Identifier: MIT
//
// A scheduler on the backend of this run, with the heap guard armed while control is inside weir, and a wall clock that
// jumps.
#pragma once

#include <weir/weir.hpp>

#include "support/catch.hpp"
#include "support/heap_guard.hpp"
#include "support/run.hpp"
#include "support/wall_clock.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>

/// CHECK inside a task: the test framework allocates.
#define CHECK_IN_TASK(...)                     \
    do {                                       \
        const ::weir::test::HeapPermit permit; \
        CHECK(__VA_ARGS__);                    \
    } while (false)

namespace weir::test {

inline constexpr Budget running_budget{
    .frame_bytes = 256 * 1024, .submissions = 16, .descriptors = 64, .links = 8};

class Running {
public:
    explicit Running(std::uint64_t seed = first_seed(), SimulationOptions simulation = {});

    Scheduler& operator*() noexcept { return *scheduler_; }
    Scheduler* operator->() noexcept { return scheduler_.get(); }

    /// Runs `task` to its end, after which nothing of it may be left.
    template <class T>
    Result<T> run(Task<T> task) {
        Result<T> outcome = scheduler_->run(std::move(task));
        check_nothing_left();
        return outcome;
    }
    /// Runs a task that must succeed.
    void must_run(Task<> task);

    template <class T>
    static std::string text_of_error(const Result<T>& outcome) {
        if (outcome) return "no error";
        char text[200];
        return std::string(outcome.error().message(text));
    }

private:
    void check_nothing_left() const;

    std::unique_ptr<JumpingWallClock> wall_clock_ = std::make_unique<JumpingWallClock>();
    std::unique_ptr<StaticScheduler<running_budget>> scheduler_;
};

/// Runs `make(scheduler)`, a task that must succeed, on each seed's scheduler.
template <class Make>
void on_each_seed(Make make, const SimulationOptions& simulation = {}) {
    for_each_seed([&](std::uint64_t seed) {
        Running running(seed, simulation);
        running.must_run(make(*running));
    });
}

/// The code of a failed Result, or nothing.
template <class T>
[[nodiscard]] std::optional<Errc> code_of(const Result<T>& result) noexcept {
    if (result) return std::nullopt;
    return result.error().code;
}

}  // namespace weir::test
