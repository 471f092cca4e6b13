// SPDX-License-Identifier: MIT
//
// A counting semaphore between tasks of one scheduler.
#pragma once

#include "weir/coro/wait_list.hpp"

#include <cstdint>

namespace weir {

/// Belongs to one scheduler's thread and outlives its waiters. Waiting takes no frame and makes no system call.
/// First come, first served: an acquire that could be satisfied still queues behind one that waits. A token that
/// was granted to a task which is then stopped is in that task's hands: acquire() has succeeded.
class Semaphore {
public:
    /// With `count` tokens.
    explicit Semaphore(std::uint32_t count) noexcept : count_(count) {}

    class Wait;
    class [[nodiscard]] Description : public Awaitable<Description> {
    public:
        using Outcome = Result<void>;
        using Wait = Semaphore::Wait;
        explicit Description(Semaphore& semaphore) noexcept : semaphore_(&semaphore) {}

    private:
        friend Semaphore::Wait;
        Semaphore* semaphore_;
    };

    class Wait : public Waiter {
    public:
        explicit Wait(Description&& description) noexcept
            : Waiter(kind), semaphore_(description.semaphore_) {}
        bool start(const Start& start) noexcept {
            if (semaphore_->try_acquire()) return true;
            join(semaphore_->waiters_, start);
            return false;
        }
        Result<void> take() noexcept { return outcome(); }

    private:
        static constexpr Kind kind{"semaphore acquire", nullptr};
        Semaphore* semaphore_;
    };

    /// Takes one token, waiting for it. Errc::cancelled or timed_out are its only errors.
    [[nodiscard]] Description acquire() noexcept { return Description(*this); }
    /// Takes one token if there is one and nobody waits.
    [[nodiscard]] bool try_acquire() noexcept {
        if (count_ == 0 || !waiters_.empty()) return false;
        --count_;
        return true;
    }
    /// Gives `count` tokens, to those who wait first. Queues them; runs nobody.
    void release(std::uint32_t count = 1) noexcept {
        for (; count > 0 && !waiters_.empty(); --count) first_waiter(waiters_).grant();
        count_ += count;
    }
    [[nodiscard]] std::uint32_t available() const noexcept { return count_; }

private:
    WaitList waiters_;
    std::uint32_t count_;
};

}  // namespace weir
