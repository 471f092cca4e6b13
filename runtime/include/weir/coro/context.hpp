// SPDX-License-Identifier: MIT
//
// What tasks need of the world: frames, a ready list, timers, a clock.
//
// A Context is all that this layer knows of the scheduler, which derives from it. Backends are not seen here.
#pragma once

#include "weir/core/time.hpp"
#include "weir/core/timer_wheel.hpp"
#include "weir/coro/frame_pool.hpp"
#include "weir/coro/ready.hpp"

#include <cstdint>

namespace weir {

class TaskState;

/// The part of a Scheduler that tasks know.
class Context {
public:
    /// How many operations a task may complete in a row without going through the ready list.
    static constexpr int credit_full = 64;

    /// `frame_arena` has `frame_bytes` bytes, 16-aligned, and outlives the context.
    constexpr Context(std::byte* frame_arena, std::size_t frame_bytes) noexcept
        : frames(frame_arena, frame_bytes) {}
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    FramePool frames;
    ReadyList ready;
    TimerWheel timers;
    int credit = credit_full;
    int turn_left = 0;  ///< items that this turn may still run before the backend is entered

    /// The time as this scheduler sees it, read now: monotonic, or simulated.
    [[nodiscard]] Instant now() const noexcept { return simulated_ ? turn_time : MonotonicClock::now(); }

    void note_stopping() noexcept {
        if (stopping_since == never) stopping_since = now();
    }

    /// When the current turn began; some milliseconds old while no timer is armed.
    Instant turn_time{};
    /// The function of the task resumed last, for the report of who held the thread.
    const char* resumed = "";
    std::uint64_t tasks_started = 0;
    /// When the root task's own scope, or one that the root task awaits, was asked to stop; `never` before.
    Instant stopping_since = never;

protected:
    bool simulated_ = false;
};

}  // namespace weir
