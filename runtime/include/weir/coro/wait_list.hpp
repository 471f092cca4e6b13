// SPDX-License-Identifier: MIT
//
// Tasks that wait for each other: the first-in-first-out list behind mutex, semaphore, event and channel.
//
// A Waiter is the Wait of one task in such a list. It ends by being granted what it waits for, or by a stop. A
// grant is final: once granted, a stop that comes before the task has run changes nothing, so nothing that
// was handed over is lost.
#pragma once

#include "weir/coro/task.hpp"

#include <optional>

namespace weir {

struct WaitListLinks;  // the list tag

class Waiter : public Leaf, public ListNode<WaitListLinks> {
public:
    void refuse(Errc code) noexcept { refused_ = code; }

    /// Takes it off its list and queues its task.
    void grant() noexcept {
        ListNode<WaitListLinks>::unlink();
        complete();
    }
    /// Ends it with an error instead.
    void end_with(Errc code) noexcept {
        refused_ = code;
        grant();
    }

protected:
    explicit Waiter(const Kind& kind) noexcept : Leaf(kind, stopped) {}
    ~Waiter() = default;

    void join(List<WaitListLinks>& list, const Start& start) noexcept {
        begin(start);
        list.push_back(*this);
    }
    [[nodiscard]] Result<void> outcome() const noexcept {
        if (refused_) return failure(*refused_, name());
        return {};
    }

private:
    static void stopped(Stoppable& self) noexcept { static_cast<Waiter&>(self).end_with(Errc::cancelled); }

    std::optional<Errc> refused_;
};

using WaitList = List<WaitListLinks>;

[[nodiscard]] inline Waiter& first_waiter(WaitList& list) noexcept {
    return static_cast<Waiter&>(list.front());
}

}  // namespace weir
