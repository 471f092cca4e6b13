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

// For what is no socket each option is -1.
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

bool take_unix_socket(int fd, int type, bool listens) noexcept {
    if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != type ||
        socket_option(fd, SO_ACCEPTCONN) != (listens ? 1 : 0)) {
        return false;
    }
    take_no_credentials(fd);
    return true;
}

bool opened_for(int fd, int access) noexcept {
    return (::fcntl(fd, F_GETFL) & O_ACCMODE) == access;
}

}  // namespace

namespace handle_kind {

bool pipe_reader(int fd, std::uint32_t mode) noexcept {
    return S_ISFIFO(mode) && !opened_for(fd, O_WRONLY);
}
bool pipe_writer(int fd, std::uint32_t mode) noexcept {
    return S_ISFIFO(mode) && !opened_for(fd, O_RDONLY);
}
bool unix_stream(int fd, std::uint32_t) noexcept {
    return take_unix_socket(fd, SOCK_STREAM, false);
}
bool unix_listener(int fd, std::uint32_t) noexcept {
    return take_unix_socket(fd, SOCK_STREAM, true);
}
bool unix_seqpacket(int fd, std::uint32_t) noexcept {
    return take_unix_socket(fd, SOCK_SEQPACKET, false);
}
bool unix_seqpacket_listener(int fd, std::uint32_t) noexcept {
    return take_unix_socket(fd, SOCK_SEQPACKET, true);
}
bool unix_datagram(int fd, std::uint32_t) noexcept {
    return take_unix_socket(fd, SOCK_DGRAM, false);
}
bool tcp_stream(int fd, std::uint32_t) noexcept {
    return is_inet_socket(fd, IPPROTO_TCP, false);
}
bool tcp_listener(int fd, std::uint32_t) noexcept {
    return is_inet_socket(fd, IPPROTO_TCP, true);
}
bool udp(int fd, std::uint32_t) noexcept {
    return is_inet_socket(fd, IPPROTO_UDP, false);
}
bool eventfd(int fd, std::uint32_t) noexcept {
    return anonymous_inode_is(fd, "anon_inode:[eventfd]");
}
bool signalfd(int fd, std::uint32_t) noexcept {
    return anonymous_inode_is(fd, "anon_inode:[signalfd]");
}
bool queue_reader(int fd, std::uint32_t) noexcept {
    return sys::is_message_queue(fd) && !opened_for(fd, O_WRONLY);
}
bool queue_writer(int fd, std::uint32_t) noexcept {
    return sys::is_message_queue(fd) && !opened_for(fd, O_RDONLY);
}
bool any(int, std::uint32_t) noexcept {
    return true;
}

}  // namespace handle_kind

}  // namespace weir
