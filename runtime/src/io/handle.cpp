// SPDX-License-Identifier: MIT
#include "weir/io/handle.hpp"

#include "sys/calls.hpp"

#include <cerrno>
#include <sys/stat.h>

namespace weir {

Handle& Handle::operator=(Handle&& other) noexcept {
    if (this == &other) return *this;
    close();
    fd_ = std::move(other.fd_);
    scheduler_ = std::exchange(other.scheduler_, nullptr);
    entry_ = std::exchange(other.entry_, nullptr);
    nonblocking_ = other.nonblocking_;
    return *this;
}

void Handle::unbind() noexcept {
    if (entry_ == nullptr) return;
    WEIR_ASSERT(!entry_->busy() && "a handle is closed while an operation on it is in flight");
    scheduler_->backend().forget(*entry_);
    scheduler_->descriptors().give_back(*std::exchange(entry_, nullptr));
    scheduler_ = nullptr;
}

int Handle::release() noexcept {
    unbind();
    return fd_.release();
}

void Handle::close() noexcept {
    unbind();
    fd_.close();
}

Result<DescriptorEntry*> Handle::entry_in(Scheduler& scheduler) noexcept {
    if (entry_ != nullptr) {
        WEIR_ASSERT(scheduler_ == &scheduler && "a handle is awaited in two schedulers");
        return entry_;
    }
    if (!fd_) return failure(Errc::closed, "handle");
    entry_ = scheduler.descriptors().take(fd_.get(), nonblocking_);
    if (entry_ == nullptr)
        return failure(Errc::no_descriptor, "handle", 0, scheduler.descriptors().capacity());
    scheduler_ = &scheduler;
    return entry_;
}

// Not inlined for the descriptors that are constants.
[[gnu::noinline]] Result<void> Handle::adopt_this(int fd, HandleKind kind, const char* operation) noexcept {
    WEIR_ASSERT(!fd_);
    struct stat status {};
    if (fd < 0 || ::fstat(fd, &status) < 0) return failure(Error::from_errno(operation, EBADF));
    if (!kind(fd, status.st_mode)) return failure(Errc::wrong_kind, operation);
    if (fd > 2) {
        long prepared = sys::set_cloexec(fd);
        if (prepared == 0) prepared = sys::set_nonblocking(fd);
        if (prepared < 0) return failure(Error::from_errno(operation, static_cast<int>(-prepared)));
    }
    fd_ = Fd(fd);
    nonblocking_ = fd > 2 || sys::is_nonblocking(fd) == 1;
    return {};
}

OperationWait::OperationWait(const Pending::Kind& kind_of, Operation::Verb what, Stop function) noexcept
    : Leaf(kind_of, function), Operation(what) {
    done = operation_done;
}

void OperationWait::refuse(Errc code) noexcept {
    error_ = Error{.code = code, .operation = name()};
}

bool OperationWait::bind_to(Handle& handle, const Start& start) noexcept {
    const auto bound = handle.entry_in(scheduler_of(start));
    if (!bound) {
        error_ = bound.error();
        error_->operation = name();
        return false;
    }
    if ((*bound)->busy_in(direction())) {
        refuse(Errc::busy);
        return false;
    }
    entry = *bound;  // not before: an await without an entry tries nothing
    return true;
}

bool OperationWait::start_on(Handle& handle, const Start& start) noexcept {
    if (!bind_to(handle, start)) return true;
    result = scheduler_of(start).backend().attempt(*this);
    if (result != -EAGAIN) return true;
    return submit_on(*entry, start);
}

bool OperationWait::submit_on(DescriptorEntry& bound, const Start& start) noexcept {
    entry = &bound;
    const long submitted = scheduler_of(start).backend().submit(*this);
    if (submitted < 0) {
        refuse_submission(submitted);
        return true;
    }
    begin(start);
    return false;
}

bool OperationWait::again() noexcept {
    Backend& backend = static_cast<Scheduler&>(context()).backend();
    WEIR_ASSERT(!entry->busy_in(direction()));  // it was held between two tries of ours
    result = backend.attempt(*this);
    if (result != -EAGAIN) return true;
    const long submitted = backend.submit(*this);
    if (submitted == 0) return false;
    refuse_submission(submitted);
    return true;
}

void OperationWait::refuse_submission(long submitted) noexcept {
    result = submitted;
    // From a call EPERM is a refusal (a firewall's, say); from submitting it says that there is nothing to wait on.
    if (submitted == -EPERM)
        error_ = Error{.code = Errc::not_pollable, .system_errno = EPERM, .operation = name()};
}

void OperationWait::set_yielding(bool yielding) noexcept {
    yielding_ = yielding;
    entry->hold(direction(), yielding);
}

Result<std::size_t> OperationWait::outcome(std::uint64_t moved) const noexcept {
    if (error_) {
        Error error = *error_;
        if (moved > 0) error.a = moved;
        return failure(error);
    }
    if (result >= 0) return static_cast<std::size_t>(result);
    Error error = Error::from_errno(name(), static_cast<int>(-result));
    if (result == -ECANCELED) error.system_errno = 0;
    error.a = moved;
    return failure(error);
}

void OperationWait::operation_done(Operation& operation) noexcept {
    auto& wait = static_cast<OperationWait&>(operation);
    const bool stopped = !static_cast<const Stoppable&>(wait).linked();
    if (wait.continue_ != nullptr && wait.result != -ECANCELED && !wait.continue_(wait, stopped)) return;
    wait.complete();
}

void OperationWait::stopped(Stoppable& self) noexcept {
    auto& wait = static_cast<OperationWait&>(self);
    if (wait.yielding_) return;  // it goes on soon, and sees it
    static_cast<Scheduler&>(wait.context()).backend().cancel(wait);
}

void PausingWait::stopped_in_pause(Stoppable& self) noexcept {
    auto& wait = static_cast<PausingWait&>(self);
    if (wait.pausing_)
        wait.stop_pausing();
    else
        stopped(self);
}

// The direction stays ours, so that nobody comes between and the handle is not closed meanwhile. (Opening has none yet.)
void PausingWait::set_pausing(bool pausing) noexcept {
    pausing_ = pausing;
    if (entry != nullptr) entry->hold(direction(), pausing);
}

void PausingWait::pause(Duration span) noexcept {
    set_pausing(true);
    context().timers.arm(alarm_, after(context().now(), span));
}

void PausingWait::Alarm::fire(Timer& timer) noexcept {
    PausingWait& wait = static_cast<Alarm&>(timer).wait;
    wait.set_pausing(false);
    if (wait.resume_(wait)) wait.complete();
}

void PausingWait::stop_pausing() noexcept {
    set_pausing(false);
    context().timers.disarm(alarm_);
    result = -ECANCELED;
    complete();
}

void OperationWait::visit_fd(const Pending& self, PendingVisitor& visitor) noexcept {
    const auto& wait = static_cast<const OperationWait&>(self);
    if (wait.entry != nullptr) visitor.on_detail(wait.entry->fd, never);
}

}  // namespace weir
