// SPDX-License-Identifier: MIT
#include "weir/io/eventfd.hpp"

#include <cerrno>
#include <sys/eventfd.h>
#include <unistd.h>

namespace weir {

Result<EventFd> EventFd::create(EventFdMode mode, std::uint32_t initial) noexcept {
    const int flags = EFD_CLOEXEC | EFD_NONBLOCK | (mode == EventFdMode::semaphore ? EFD_SEMAPHORE : 0);
    Fd fd(::eventfd(initial, flags));
    if (!fd) return failure(Error::from_errno("eventfd", errno));
    EventFd event;
    static_cast<Handle&>(event) = Handle(std::move(fd));
    return event;
}

Result<EventFd> EventFd::adopt(int fd) noexcept {
    return adopt_as<EventFd>(fd, handle_kind::eventfd, "adopt eventfd");
}

EventFdRead EventFd::read() noexcept {
    return EventFdRead(*this);
}
EventFdWrite EventFd::write(std::uint64_t count) noexcept {
    return {*this, count};
}

Result<void> EventFd::post(std::uint64_t count) noexcept {
    // Called from signal handlers too: write(2) is safe there, and errno is theirs.
    const int saved = errno;
    const ssize_t written = ::write(fd(), &count, sizeof(count));
    const int error = errno;
    errno = saved;
    if (written < 0) return failure(Error::from_errno("eventfd post", error));
    return {};
}

EventFdRead::Wait::Wait(EventFdRead&& read) noexcept
    : OperationWait(read.external_ ? external_kind : kind, Operation::Verb::read),
      handle_(*read.handle_),
      external_(read.external_) {
    data = &count_;
    size = sizeof(count_);
}

bool EventFdRead::Wait::start(const Start& start) noexcept {
    if (external_) {
        const auto bound = handle_.entry_in(scheduler_of(start));
        if (bound) (*bound)->external = true;
    }
    return start_on(handle_, start);
}

Result<std::uint64_t> EventFdRead::Wait::take() noexcept {
    const auto got = outcome();
    if (!got) return failure(got.error());
    return count_;
}

EventFdWrite::Wait::Wait(EventFdWrite&& write) noexcept
    : OperationWait(kind, Operation::Verb::write), handle_(*write.handle_), count_(write.count_) {
    data = &count_;
    size = sizeof(count_);
}

Result<void> EventFdWrite::Wait::take() noexcept {
    return completion();
}

}  // namespace weir
