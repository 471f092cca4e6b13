// SPDX-License-Identifier: MIT
#include "sys/calls.hpp"

#include "weir/sys/faults.hpp"
#include "weir/sys/message.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <tuple>
#include <utility>

namespace weir::sys {
namespace {

constexpr int pass_rights_option = 83;  // SO_PASSRIGHTS, Linux 6.16

thread_local Faults* installed = nullptr;

// Makes `make(size)` until it is not interrupted, with the installed faults in front of each try.
template <class F>
long attempt(Call call, int fd, std::size_t size, F&& make) noexcept {
    for (;;) {
        std::size_t allowed = size;
        if (installed != nullptr) [[unlikely]] {
            const Fault fault = installed->next(call, fd, size);
            if (fault.error == EINTR) continue;
            if (fault.error != 0) return -fault.error;
            allowed = std::min(size, std::max<std::size_t>(fault.size_max, 1));
        }
        const long result = make(allowed);
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}

// accept(2) also reports what became of a connection on the network before it was taken.
bool belongs_to_lost_peer(long result) noexcept {
    switch (-result) {
        case ECONNABORTED:
        case EPROTO:
        case ENOPROTOOPT:
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENONET: return true;
        default: return false;
    }
}

}  // namespace

Faults* install_faults(Faults* faults) noexcept {
    return std::exchange(installed, faults);
}

long read(int fd, void* data, std::size_t size) noexcept {
    return attempt(Call::read, fd, size, [=](std::size_t allowed) { return ::read(fd, data, allowed); });
}
long write(int fd, const void* data, std::size_t size) noexcept {
    return attempt(Call::write, fd, size, [=](std::size_t allowed) { return ::write(fd, data, allowed); });
}
long receive(int fd, void* data, std::size_t size) noexcept {
    return attempt(Call::receive, fd, size,
                   [=](std::size_t allowed) { return ::recv(fd, data, allowed, MSG_DONTWAIT); });
}
long send(int fd, const void* data, std::size_t size) noexcept {
    return attempt(Call::send, fd, size, [=](std::size_t allowed) {
        return ::send(fd, data, allowed, MSG_DONTWAIT | MSG_NOSIGNAL);
    });
}
long send_message(int fd, const msghdr& header) noexcept {
    // Faults may cut it: then a shorter piece is sent in its stead.
    return attempt(Call::send, fd, header.msg_iov->iov_len, [&header, fd](std::size_t allowed) {
        iovec piece{.iov_base = header.msg_iov->iov_base, .iov_len = allowed};
        msghdr copy = header;
        copy.msg_iov = &piece;
        return ::sendmsg(fd, &copy, MSG_DONTWAIT | MSG_NOSIGNAL);
    });
}
static long receive_with(int fd, msghdr& header, int flags) noexcept {
    return attempt(Call::receive, fd, header.msg_iov->iov_len, [&header, fd, flags](std::size_t allowed) {
        const std::size_t size = std::exchange(header.msg_iov->iov_len, allowed);
        const ssize_t result = ::recvmsg(fd, &header, flags);
        header.msg_iov->iov_len = size;
        return result;
    });
}
long receive_message(int fd, msghdr& header) noexcept {
    return receive_with(fd, header, receive_message_flags);
}
long peek_message(int fd, msghdr& header) noexcept {
    return receive_with(fd, header, receive_message_flags | MSG_PEEK);
}
// Never with a deadline: its time would have to be 64-bit on every architecture, and a try has none.
long queue_receive(int fd, void* data, std::size_t size, std::uint32_t& priority) noexcept {
    return attempt(Call::queue_receive, fd, size, [=, &priority](std::size_t) {
        unsigned got = 0;
        const long received = ::mq_receive(fd, static_cast<char*>(data), size, &got);
        priority = got;
        return received;
    });
}
long queue_send(int fd, const void* data, std::size_t size, std::uint32_t priority) noexcept {
    // An empty message may come without bytes, but the call wants an address.
    const char* const bytes = size > 0 ? static_cast<const char*>(data) : "";
    return attempt(Call::queue_send, fd, size,
                   [=](std::size_t) { return static_cast<long>(::mq_send(fd, bytes, size, priority)); });
}
long accept(int fd) noexcept {
    for (;;) {
        const long result = attempt(Call::accept, fd, 0, [=](std::size_t) {
            return static_cast<long>(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        });
        if (!belongs_to_lost_peer(result)) return result;
    }
}
long connect(int fd, const sockaddr* address, socklen_t size) noexcept {
    // Not repeated after EINTR: the connection then goes on by itself, as after EINPROGRESS.
    if (installed != nullptr) [[unlikely]] {
        const Fault fault = installed->next(Call::connect, fd, 0);
        if (fault.error != 0 && fault.error != EINTR) return -fault.error;
    }
    if (::connect(fd, address, size) == 0) return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}
long connect_result(int fd) noexcept {
    int error = 0;
    socklen_t size = sizeof(error);
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return -errno;
    return -error;
}
long peer_credentials(int fd, ucred& peer) noexcept {
    socklen_t size = sizeof(peer);
    return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? -errno : 0;
}
// The kernel's own note of who connected is better than a number that could be another process's by now.
long open_peer_process(int fd, pid_t pid) noexcept {
    constexpr int peer_pidfd_option = 77;    // SO_PEERPIDFD, Linux 6.5
    constexpr long pidfd_open_number = 434;  // the same on every architecture
    int process = -1;
    socklen_t size = sizeof(process);
    if (::getsockopt(fd, SOL_SOCKET, peer_pidfd_option, &process, &size) == 0) {
        (void)set_cloexec(process);
        return process;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ESRCH) return -errno;
    if (pid <= 0) return -ENOSYS;
    const long opened = ::syscall(pidfd_open_number, pid, 0U);
    if (opened >= 0) return opened;
    // Without flags EINVAL says that the number is no process's: it has ended, and lives on as a group's.
    return errno == EINVAL ? -ESRCH : -errno;
}
long poll_now(int fd, short events) noexcept {
    return attempt(Call::poll, fd, 0, [=](std::size_t) -> long {
        pollfd one{.fd = fd, .events = events, .revents = 0};
        const int count = ::poll(&one, 1, 0);
        return count <= 0 ? count : one.revents;
    });
}

bool pollable(int fd) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) < 0) return false;
    // A message queue calls itself a regular file.
    if (S_ISREG(status.st_mode)) return is_message_queue(fd);
    return !S_ISDIR(status.st_mode) && !S_ISBLK(status.st_mode);
}

bool is_message_queue(int fd) noexcept {
    mq_attr attributes{};
    return ::mq_getattr(fd, &attributes) == 0;
}

void let_descriptors_in(int fd, bool let) noexcept {
    const int value = let ? 1 : 0;
    std::ignore = ::setsockopt(fd, SOL_SOCKET, pass_rights_option, &value, sizeof(value));
}
bool lets_descriptors_in(int fd) noexcept {
    int value = 1;
    socklen_t size = sizeof(value);
    return ::getsockopt(fd, SOL_SOCKET, pass_rights_option, &value, &size) < 0 || value != 0;
}

bool has_faults() noexcept {
    return installed != nullptr;
}

long set_cloexec(int fd) noexcept {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0) return -errno;
    if ((flags & FD_CLOEXEC) != 0) return 0;
    return ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0 ? -errno : 0;
}
long is_nonblocking(int fd) noexcept {
    const int flags = ::fcntl(fd, F_GETFL);
    return flags < 0 ? -errno : (flags & O_NONBLOCK) != 0 ? 1 : 0;
}
long set_nonblocking(int fd) noexcept {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    return ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

}  // namespace weir::sys
