// SPDX-License-Identifier: MIT
//
// An event: set or not, and tasks that wait until it is.
#pragma once

#include "weir/coro/wait_list.hpp"

namespace weir {

/// Stays set until reset() (manual reset). Belongs to one scheduler's thread. Waiting takes no frame and makes no
/// system call. The event outlives its waiters.
class Event {
public:
    class Wait;
    /// What wait() returns: Errc::cancelled or timed_out are its only errors.
    class [[nodiscard]] Description : public Awaitable<Description> {
    public:
        using Outcome = Result<void>;
        using Wait = Event::Wait;
        explicit Description(Event& event) noexcept : event_(&event) {}

    private:
        friend Event::Wait;
        Event* event_;
    };

    class Wait : public Waiter {
    public:
        explicit Wait(Description&& description) noexcept : Waiter(kind), event_(description.event_) {}
        bool start(const Start& start) noexcept {
            if (event_->set_) return true;
            join(event_->waiters_, start);
            return false;
        }
        Result<void> take() noexcept { return outcome(); }

    private:
        static constexpr Kind kind{"event wait", nullptr};
        Event* event_;
    };

    /// Waits until the event is set; at once if it is.
    [[nodiscard]] Description wait() noexcept { return Description(*this); }

    /// Queues all who wait; runs nobody.
    void set() noexcept {
        set_ = true;
        while (!waiters_.empty()) first_waiter(waiters_).grant();
    }
    void reset() noexcept { set_ = false; }
    [[nodiscard]] bool is_set() const noexcept { return set_; }

private:
    WaitList waiters_;
    bool set_ = false;
};

}  // namespace weir
