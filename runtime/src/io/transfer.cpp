// SPDX-License-Identifier: MIT
#include "weir/io/transfer.hpp"

#include <cerrno>

namespace weir {

WholeTransferWait::WholeTransferWait(Handle& handle, const Pending::Kind& kind_of, Operation::Verb what,
                                     void* bytes, std::size_t count) noexcept
    : OperationWait(kind_of, what), turn_(*this), handle_(handle) {
    data = bytes;
    size = count;
    stream = true;
    set_continue(transferred);
}

bool WholeTransferWait::start(const Start& start) noexcept {
    if (size == 0) return true;
    if (!start_on(handle_, start)) return false;
    // The first try moved something: what is left is tried until it has to wait. No stop can come in between.
    for (;;) {
        if (entry == nullptr || result < 0 || note(false)) return true;
        if (--start.context.credit <= 0) {
            begin(start);
            let_others();
            return false;
        }
        result = scheduler_of(start).backend().attempt(*this);
        if (result == -EAGAIN) return submit_on(*entry, start);
    }
}

// Counts the last transfer; true if nothing is left to do.
bool WholeTransferWait::note(bool stopped) noexcept {
    const auto count = static_cast<std::size_t>(result);
    moved_ += count;
    data = static_cast<std::byte*>(data) + count;
    size -= count;
    if (size == 0 || (reading() && count == 0)) return true;
    if (!stopped) return false;
    result = -ECANCELED;
    return true;
}

bool WholeTransferWait::transferred(OperationWait& self, bool stopped) noexcept {
    auto& wait = static_cast<WholeTransferWait&>(self);
    return wait.result < 0 || wait.go_on(stopped);
}

// After a transfer: counts it, and makes the next ones until it has to wait; true if that was all.
bool WholeTransferWait::go_on(bool stopped) noexcept {
    for (int credit = Context::credit_full;; stopped = false) {
        if (note(stopped)) return true;
        if (--credit == 0) {
            let_others();
            return false;
        }
        if (!again()) return false;
        if (result < 0) return true;
    }
}

// The direction stays ours meanwhile, lest another task's bytes come between.
void WholeTransferWait::let_others() noexcept {
    set_yielding(true);
    context().turn_left = 0;
    context().ready.push_back(turn_);
}

void WholeTransferWait::Turn::came(ReadyItem& item) noexcept {
    WholeTransferWait& wait = static_cast<Turn&>(item).wait;
    wait.set_yielding(false);
    const bool stopped = !static_cast<const Stoppable&>(wait).linked();
    if (stopped) {
        wait.result = -ECANCELED;
    } else {
        if (!wait.again()) return;
        if (wait.result >= 0 && !wait.go_on(false)) return;
    }
    wait.complete();
}

}  // namespace weir
