// SPDX-License-Identifier: MIT
#include "weir/io/transfer.hpp"

#include <cerrno>

namespace weir {

WholeTransferWait::WholeTransferWait(Handle& handle, const Pending::Kind& kind_of, Operation::Verb what,
                                     void* bytes, std::size_t count) noexcept
    : OperationWait(kind_of, what), handle_(handle) {
    data = bytes;
    size = count;
    by_queue = true;
    set_continue(transferred);
}

bool WholeTransferWait::start(const Start& start) noexcept {
    if (size == 0) return true;
    if (!start_on(handle_, start)) return false;
    // The first try moved something: what is left is tried until it has to wait. No stop can come in between.
    for (;;) {
        if (entry == nullptr || result < 0 || note(false)) return true;
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
    if (wait.result < 0) return true;
    for (;;) {
        if (wait.note(stopped)) return true;
        if (!wait.again()) return false;
        if (wait.result < 0) return true;
    }
}

}  // namespace weir
