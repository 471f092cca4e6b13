// SPDX-License-Identifier: MIT
#include "io/inet_socket.hpp"

#include <cerrno>

namespace weir {

Result<Fd> inet_socket(const SocketAddress& address, int type, const char* operation) noexcept {
    if (address.empty()) return failure(Errc::invalid, operation);
    Fd fd(::socket(address.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return failure(Error::from_errno(operation, errno));
    return fd;
}

Result<void> set_option(int fd, int level, int option, int value, const char* operation) noexcept {
    if (::setsockopt(fd, level, option, &value, sizeof(value)) == 0) return {};
    return failure(Error::from_errno(operation, errno));
}

Result<void> inet_bind(int fd, const SocketAddress& address, bool reuse_address, bool v6_only,
                       const char* operation) noexcept {
    Result<void> done = set_option(fd, SOL_SOCKET, SO_REUSEADDR, reuse_address ? 1 : 0, operation);
    // Whatever the system's default is.
    if (done && address.is_v6()) done = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6_only ? 1 : 0, operation);
    if (done && ::bind(fd, address.raw(), address.raw_size()) < 0)
        done = failure(Error::from_errno(operation, errno));
    return done;
}

Result<SocketAddress> inet_local(int fd, const char* operation) noexcept {
    SocketAddress address;
    socklen_t size = SocketAddress::raw_size_max;
    if (::getsockname(fd, address.raw(), &size) < 0) return failure(Error::from_errno(operation, errno));
    return address;
}

Result<SocketAddress> inet_peer(int fd, const char* operation) noexcept {
    SocketAddress address;
    socklen_t size = SocketAddress::raw_size_max;
    if (::getpeername(fd, address.raw(), &size) < 0) return failure(Error::from_errno(operation, errno));
    return address;
}

}  // namespace weir
