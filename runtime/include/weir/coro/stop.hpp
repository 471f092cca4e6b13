// SPDX-License-Identifier: MIT
//
// Stopping.
//
// A StopScope is what a stop reaches: the operations that tasks of the scope have in flight, and the scopes
// within. It is sticky: once stopped it stays so, and whatever is started in it afterwards is refused with
// Errc::cancelled before it tries anything. Tasks inherit the scope of whoever awaits them; there is no global.
//
// Stopping is a request. Each member decides what it means: a socket read asks its backend to cancel and may
// still complete with the data it already had.
#pragma once

#include "weir/core/list.hpp"

#include <cstdint>

namespace weir {

enum class StopCause : std::uint8_t {
    none,
    requested,  ///< somebody asked, or an outer scope was stopped
    deadline,   ///< this scope's own deadline passed
};

struct StopLinks;  // the list tag

/// Something that a stop reaches. Linked into its scope while it is in flight.
class Stoppable : public ListNode<StopLinks> {
public:
    using Stop = void (*)(Stoppable&) noexcept;
    void stop() noexcept { stop_(*this); }

protected:
    explicit constexpr Stoppable(Stop function) noexcept : stop_(function) {}

private:
    Stop stop_;
};

class StopScope : public Stoppable {
public:
    constexpr StopScope() noexcept : Stoppable(stopped_from_outside) {}
    ~StopScope() {
        if (linked()) unlink();
    }

    [[nodiscard]] bool stopped() const noexcept { return cause_ != StopCause::none; }
    [[nodiscard]] StopCause cause() const noexcept { return cause_; }

    /// Becomes part of `outer`; the caller has seen that `outer` is not stopped.
    void enter(StopScope& outer) noexcept { outer.members_.push_back(*this); }
    void leave() noexcept {
        if (linked()) unlink();
    }

    void add(Stoppable& member) noexcept {
        WEIR_ASSERT(!stopped());
        members_.push_back(member);
    }

    /// Idempotent: the first cause stays.
    void request_stop(StopCause cause = StopCause::requested) noexcept {
        if (stopped()) return;
        cause_ = cause;
        // Members complete later, never from here; each is taken out first, so that it may unlink freely.
        while (!members_.empty()) static_cast<Stoppable&>(members_.pop_front()).stop();
    }

private:
    static void stopped_from_outside(Stoppable& self) noexcept {
        static_cast<StopScope&>(self).request_stop(StopCause::requested);
    }

    List<StopLinks> members_;
    StopCause cause_ = StopCause::none;
};

}  // namespace weir
