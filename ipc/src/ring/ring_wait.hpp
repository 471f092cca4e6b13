// SPDX-License-Identifier: MIT
//
// How a task waits at one end of a ring, whatever wakes it there: for the sources that instantiate RingWait.
//
// Whenever something may have changed the end is asked for its progress again. A new announcement of sleep is made before
// the thread blocks again.
#pragma once

#include "weir/ipc/ring/ring_end.hpp"

namespace weir::ipc {

template <class End>
RingProgress RingWait<End>::progress(bool sleeps) noexcept {
    std::optional<Errc> error;
    RingProgress progressed = end_.progress(units_, error);
    if (sleeps && progressed == RingProgress::waiting) progressed = end_.sleep(units_, error);
    if (error) refuse(*error);
    return progressed;
}

template <class End>
bool RingWait<End>::start_slowly(const Start& start) noexcept {
    auto& scheduler = static_cast<Scheduler&>(start.context);  // every Context is a Scheduler
    bool lingered = false;
    if (end_.pace_.streams()) {
        if (end_.outgoing().deferred()) end_.publish();  // the peer may wait for just that
        lingered = scheduler.linger();
    }
    over_ = progress(false) != RingProgress::waiting;
    if (over_) return true;
    if (lingered) end_.pace_.in_vain();
    end_.flush();
    if (scheduler.changes_soon(end_.watched(), end_.machine.seen())) {
        over_ = progress(false) != RingProgress::waiting;
        if (over_) return true;
    }
    begin(start);
    watch();
    scheduler.watch(watch_);
    return false;
}

template <class End>
void RingWait<End>::watch() noexcept {
    watch_.set(watching, end_.watched(), end_.machine.seen());
}

template <class End>
void RingWait<End>::end_if(RingProgress progressed) noexcept {
    // A bell that cannot be armed ends the wait from within sleep().
    if (over_ || progressed == RingProgress::waiting) return;
    end_.machine.awake();
    watch_.unlink();
    over_ = true;
    complete();
}

// The bell rang, the link changed, or another reader came: begin the wait anew.
template <class End>
void RingWait<End>::looked(RingWaiter& self) noexcept {
    auto& wait = static_cast<RingWait&>(self);
    if (wait.over_) return;
    const RingProgress progressed = wait.progress(false);
    if (progressed == RingProgress::waiting) wait.watch();
    wait.end_if(progressed);
}

template <class End>
void RingWait<End>::cursor_changed(Watch& watch) noexcept {
    auto& wait = static_cast<RingWait&>(static_cast<CursorWatch&>(watch).waiter);
    const RingProgress progressed = wait.progress(false);
    watch.seen = wait.end_.machine.seen();
    wait.end_if(progressed);
}

template <class End>
void RingWait<End>::about_to_sleep(Watch& watch) noexcept {
    auto& wait = static_cast<RingWait&>(static_cast<CursorWatch&>(watch).waiter);
    wait.end_if(wait.progress(true));
}

template <class End>
void RingWait<End>::stopped(Stoppable& self) noexcept {
    auto& wait = static_cast<RingWait&>(self);
    if (wait.over_) return;
    // What has arrived by now wins over the stop.
    if (wait.progress(false) == RingProgress::waiting) wait.refuse(Errc::cancelled);
    wait.end_if(RingProgress::ready);
}

}  // namespace weir::ipc
