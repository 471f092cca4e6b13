// SPDX-License-Identifier: MIT
#include "weir/io/handle.hpp"

#include "sys/calls.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>

namespace weir {
namespace {

// What an anonymous inode is, as /proc names it: "anon_inode:[eventfd]". Without /proc there is no telling, and the
// caller is trusted.
bool anonymous_inode_is(int fd, const char* wanted) noexcept {
    char path[32];
    std::snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    char target[64];
    const ssize_t size = ::readlink(path, target, sizeof(target) - 1);
    if (size < 0) return errno == ENOENT || errno == EACCES;
    target[size] = '\0';
    return std::strcmp(target, wanted) == 0;
}

int socket_option(int fd, int option) noexcept {
    int value = 0;
    socklen_t size = sizeof(value);
    return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

// For what is no socket the option is -1.
bool is_unix_socket(int fd, int type, bool listens) noexcept {
    return socket_option(fd, SO_DOMAIN) == AF_UNIX && socket_option(fd, SO_TYPE) == type &&
           socket_option(fd, SO_ACCEPTCONN) == (listens ? 1 : 0);
}
bool is_inet_socket(int fd, int protocol, bool listens) noexcept {
    const int domain = socket_option(fd, SO_DOMAIN);
    return (domain == AF_INET || domain == AF_INET6) && socket_option(fd, SO_PROTOCOL) == protocol &&
           socket_option(fd, SO_ACCEPTCONN) == (listens ? 1 : 0);
}

// What its owner asked the kernel to put beside messages, no handle takes: it would use up the room for descriptors, and
// look like some that were cut. SO_PASSPIDFD (6.5) would even pass some. An accepted socket has them from its listener.
void take_no_credentials(int fd) noexcept {
    constexpr int passes_pidfd = 76;  // SO_PASSPIDFD, which the headers may be too old for
    constexpr int off = 0;
    for (const int option : {SO_PASSCRED, SO_PASSSEC, passes_pidfd}) {
        // Each fails only where the kernel has no such option, which is then off.
        std::ignore = ::setsockopt(fd, SOL_SOCKET, option, &off, sizeof(off));
    }
}

bool opened_for(int fd, int access) noexcept {
    return (::fcntl(fd, F_GETFL) & O_ACCMODE) == access;
}

bool is_of_kind(int fd, mode_t mode, HandleKind kind) noexcept {
    switch (kind) {
        case HandleKind::pipe_reader: return S_ISFIFO(mode) && !opened_for(fd, O_WRONLY);
        case HandleKind::pipe_writer: return S_ISFIFO(mode) && !opened_for(fd, O_RDONLY);
        case HandleKind::unix_stream: return is_unix_socket(fd, SOCK_STREAM, false);
        case HandleKind::unix_listener: return is_unix_socket(fd, SOCK_STREAM, true);
        case HandleKind::unix_seqpacket: return is_unix_socket(fd, SOCK_SEQPACKET, false);
        case HandleKind::unix_seqpacket_listener: return is_unix_socket(fd, SOCK_SEQPACKET, true);
        case HandleKind::unix_datagram: return is_unix_socket(fd, SOCK_DGRAM, false);
        case HandleKind::tcp_stream: return is_inet_socket(fd, IPPROTO_TCP, false);
        case HandleKind::tcp_listener: return is_inet_socket(fd, IPPROTO_TCP, true);
        case HandleKind::udp: return is_inet_socket(fd, IPPROTO_UDP, false);
        case HandleKind::eventfd: return anonymous_inode_is(fd, "anon_inode:[eventfd]");
        case HandleKind::signalfd: return anonymous_inode_is(fd, "anon_inode:[signalfd]");
        case HandleKind::queue_reader: return sys::is_message_queue(fd) && !opened_for(fd, O_WRONLY);
        case HandleKind::queue_writer: return sys::is_message_queue(fd) && !opened_for(fd, O_RDONLY);
        case HandleKind::any: return true;
    }
    return false;
}

}  // namespace

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

Result<Handle> Handle::adopt(int fd, HandleKind kind, const char* operation) noexcept {
    struct stat status {};
    if (fd < 0 || ::fstat(fd, &status) < 0) return failure(Error::from_errno(operation, EBADF));
    if (!is_of_kind(fd, status.st_mode, kind)) return failure(Errc::wrong_kind, operation);
    if (S_ISSOCK(status.st_mode) && kind != HandleKind::any && socket_option(fd, SO_DOMAIN) == AF_UNIX)
        take_no_credentials(fd);
    if (fd > 2) {
        long prepared = sys::set_cloexec(fd);
        if (prepared == 0) prepared = sys::set_nonblocking(fd);
        if (prepared < 0) return failure(Error::from_errno(operation, static_cast<int>(-prepared)));
    }
    Handle handle;
    handle.fd_ = Fd(fd);
    handle.nonblocking_ = fd > 2 || sys::is_nonblocking(fd) == 1;
    return handle;
}

OperationWait::OperationWait(const Pending::Kind& kind_of, Operation::Verb what) noexcept
    : Leaf(kind_of, stopped), Operation(what) {
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
    if (wait.pausing_) {
        static_cast<PausingWait&>(wait).stop_pausing();
        return;
    }
    if (wait.yielding_) return;  // it goes on soon, and sees it
    static_cast<Scheduler&>(wait.context()).backend().cancel(wait);
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
