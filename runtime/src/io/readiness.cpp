// SPDX-License-Identifier: MIT
//
// One entry serves both directions of a foreign descriptor, as the kernel registers a descriptor once; it is given
// back when nobody waits on it any more. A descriptor of our own handles shares the handle's entry.
#include "weir/io/readiness.hpp"

#include "sys/calls.hpp"

#include <cerrno>
#include <fcntl.h>

namespace weir {
namespace {

void give_back_if_idle(Scheduler& scheduler, DescriptorEntry& entry) noexcept {
    if (!entry.foreign || entry.busy()) return;
    scheduler.backend().forget(entry);
    scheduler.descriptors().give_back(entry);
}

}  // namespace

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
    DescriptorTable& table = scheduler.descriptors();
    DescriptorEntry* found = table.find_fd(fd_);
    if (found == nullptr) {
        found = table.take(fd_, true);
        if (found == nullptr) {
            set_error({.code = Errc::no_descriptor, .operation = name(), .b = table.capacity()});
            return true;
        }
        found->foreign = true;
    }
    entry = found;
    scheduler_ = &scheduler;
    if (entry->waiting_in(direction()) != nullptr) {
        refuse(Errc::busy);
        return true;
    }
    result = scheduler.backend().attempt(*this);
    return result != -EAGAIN || submit_on(*entry, start);
}

Result<void> ForeignReadiness::Wait::take() noexcept {
    if (entry != nullptr) give_back_if_idle(*scheduler_, *entry);
    const auto got = outcome();
    if (!got) return failure(got.error());
    return {};
}

}  // namespace weir
