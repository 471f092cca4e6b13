// SPDX-License-Identifier: MIT
//
// What tasks need of the world: frames, a ready list, timers, a clock.
//
// A Context is all that this layer knows of the scheduler, which derives from it. Backends are not seen here.
#pragma once

#include "weir/core/assert.hpp"
#include "weir/core/error.hpp"
#include "weir/core/time.hpp"
#include "weir/core/timer_wheel.hpp"
#include "weir/coro/frame_pool.hpp"
#include "weir/coro/ready.hpp"

#include <cstddef>
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

    /// The program was asked to stop, or a part of it that its root task awaits; see coro/root_stop.hpp.
    void stop_began() noexcept {
        if (stops_count_++ == 0) stopping_since_ = now();
    }
    void stop_ended() noexcept {
        WEIR_ASSERT(stops_count_ > 0);
        if (--stops_count_ == 0) stopping_since_ = never;
    }
    /// Whether a task may begin inside the one that calls this, as far as the machine's stack is concerned.
    [[gnu::always_inline]] [[nodiscard]] bool has_stack() const noexcept {
        return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) >= stack_floor_;
    }
    /// The error of a task that could not begin: hollow, or without has_stack().
    [[nodiscard]] Error why_not_begun(bool hollow) const noexcept;

    /// When the first of these was asked that has not ended; `never` if there is none.
    [[nodiscard]] Instant stopping_since() const noexcept { return stopping_since_; }

    /// When the current turn began; some milliseconds old while no timer is armed.
    Instant turn_time{};
    /// The function of the task resumed last, for the report of who held the thread.
    const char* resumed = "";
    std::uint64_t tasks_started = 0;

protected:
    /// From here, which is where tasks are run, they may use `bytes` of the stack before they begin another; 0: no limit.
    [[gnu::always_inline]] void limit_stack(std::size_t bytes) noexcept {
        const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        stack_bytes_ = bytes;
        stack_floor_ = bytes != 0 && bytes < here ? here - bytes : 0;
    }
    [[nodiscard]] std::uintptr_t stack_floor() const noexcept { return stack_floor_; }

    bool simulated_ = false;

private:
    std::uintptr_t stack_floor_ = 0;
    std::size_t stack_bytes_ = 0;
    Instant stopping_since_ = never;
    std::uint32_t stops_count_ = 0;
};

}  // namespace weir
