// SPDX-License-Identifier: MIT
//
// Waking a scheduler from outside: another thread, or a signal handler.
//
//     static Remote remote;                       // in the scheduler's thread: WEIR_CO_TRY(remote, Remote::create());
//     remote.post();                              // anywhere
//     WEIR_CO_TRY(auto posts, remote.wait());     // in a task
#pragma once

#include "weir/io/eventfd.hpp"

namespace weir {

/// An eventfd that others post to and one task waits for. Move-only; move it before others know it.
class Remote {
public:
    Remote() noexcept = default;

    /// Errors: no_files, no_memory.
    static Result<Remote> create() noexcept {
        WEIR_TRY(EventFd event, EventFd::create());
        Remote remote;
        remote.event_ = std::move(event);
        return remote;
    }

    /// From any thread or signal handler, as often as you like: one write(2), which never blocks. What was written
    /// before it is visible to the task that wait() wakes. The remote outlives the call.
    void post() noexcept {
        // The counter can only be full after 2^64 - 2 posts; then the waiter is awake anyway.
        static_cast<void>(event_.post());
    }
    /// Waits for at least one post; the value is how many came since the last. Errors: busy, cancelled, timed_out.
    [[nodiscard]] EventFdRead wait() noexcept { return EventFdRead(event_, true); }

private:
    EventFd event_;
};

}  // namespace weir
