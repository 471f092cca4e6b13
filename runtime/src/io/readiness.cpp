// SPDX-License-Identifier: MIT
//
// One entry serves both directions of a foreign descriptor, as the kernel registers a descriptor once; it is given
// back when nobody waits on it any more. A descriptor of our own handles shares the handle's entry.
#include "weir/io/readiness.hpp"

#include "sys/calls.hpp"

#include <cerrno>
#include <fcntl.h>

namespace weir {

bool ForeignReadiness::Wait::start(const Start& start) noexcept {
    if (fd_ < 0 || ::fcntl(fd_, F_GETFD) < 0) {
        set_error(Error::from_errno(name(), EBADF));
        return true;
    }
    if (!sys::pollable(fd_)) {
        set_error({.code = Errc::not_pollable, .operation = name()});
        return true;
    }
    Scheduler& scheduler = scheduler_of(start);
    DescriptorEntry* const shared = scheduler.descriptors().share(fd_);
    if (shared == nullptr) {
        set_error(
            {.code = Errc::no_descriptor, .operation = name(), .b = scheduler.descriptors().capacity()});
        return true;
    }
    entry = shared;
    scheduler_ = &scheduler;
    generation_ = shared->generation;
    if (entry->busy_in(direction())) {
        refuse(Errc::busy);
        return true;
    }
    result = scheduler.backend().attempt(*this);
    return result != -EAGAIN || submit_on(*entry, start);
}

Result<void> ForeignReadiness::Wait::take() noexcept {
    // A handle on the descriptor may have closed after this await was over and before its task went on.
    if (entry != nullptr && entry->fd == fd_ && entry->generation == generation_ &&
        DescriptorTable::unshare(*entry)) {
        scheduler_->backend().forget(*entry);
        scheduler_->descriptors().give_back(*entry);
    }
    return completion();
}

}  // namespace weir
