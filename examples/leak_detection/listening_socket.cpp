// SPDX-License-Identifier: MIT
#include "listening_socket.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace leak {

namespace {

constexpr int backlog = 16;

struct Address {
    sockaddr_storage bytes{};
    socklen_t size = 0;

    sockaddr* generic() { return static_cast<sockaddr*>(static_cast<void*>(&bytes)); }
    sockaddr_in& version_4() { return *static_cast<sockaddr_in*>(static_cast<void*>(&bytes)); }
    sockaddr_in6& version_6() { return *static_cast<sockaddr_in6*>(static_cast<void*>(&bytes)); }
};

bool read(const char* text, std::uint16_t port, Address& address) {
    if (::inet_pton(AF_INET, text, &address.version_4().sin_addr) == 1) {
        address.version_4().sin_family = AF_INET;
        address.version_4().sin_port = htons(port);
        address.size = sizeof(sockaddr_in);
        return true;
    }
    if (::inet_pton(AF_INET6, text, &address.version_6().sin6_addr) != 1) return false;
    address.version_6().sin6_family = AF_INET6;
    address.version_6().sin6_port = htons(port);
    address.size = sizeof(sockaddr_in6);
    return true;
}

}  // namespace

ListeningSocket listen_at(const char* text, std::uint16_t port) {
    ListeningSocket socket;
    Address address;
    if (!read(text, port, address)) {
        socket.error.append("--listen: ").append_quoted(text, 64);
        socket.error.append(", expected the number of an IPv4 or IPv6 address");
        return socket;
    }
    const bool version_6 = address.bytes.ss_family == AF_INET6;
    const int fd = ::socket(address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int yes = 1;
    if (fd < 0 || ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
        ::bind(fd, address.generic(), address.size) < 0 || ::listen(fd, backlog) < 0 ||
        ::getsockname(fd, address.generic(), &address.size) < 0) {
        const int cause = errno;
        socket.error.append("listening at ").append(text).append(" port ").append(port);
        socket.error.append(": ").append(std::strerror(cause));
        if (fd >= 0) ::close(fd);
        return socket;
    }
    socket.fd = fd;
    socket.port = ntohs(version_6 ? address.version_6().sin6_port : address.version_4().sin_port);
    socket.address.append(version_6 ? "[" : "")
        .append(text)
        .append(version_6 ? "]:" : ":")
        .append(socket.port);
    socket.host.append(text);
    return socket;
}

}  // namespace leak
