// SPDX-License-Identifier: MIT
//
// Internet addresses: IPv4 or IPv6, and a port. A value; names are not resolved here.
#pragma once

#include "weir/core/result.hpp"

#include <array>
#include <cstdint>
#include <netinet/in.h>
#include <span>
#include <string_view>
#include <sys/socket.h>

namespace weir {

/// 28 bytes, trivially copyable. A default-constructed one is empty.
class SocketAddress {
public:
    static constexpr socklen_t raw_size_max = sizeof(sockaddr_in6);
    /// Enough for format() and its terminator: "[", address, "%", scope, "]:", port.
    static constexpr std::size_t text_size_max = 1 + 45 + 1 + 10 + 2 + 5 + 1;

    SocketAddress() noexcept : raw_{} {}
    [[nodiscard]] static SocketAddress v4(std::array<std::uint8_t, 4> address, std::uint16_t port) noexcept;
    [[nodiscard]] static SocketAddress v6(const std::array<std::uint8_t, 16>& address, std::uint16_t port,
                                          std::uint32_t scope = 0) noexcept;
    /// "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80" or with the interface's number, "[fe80::1%2]:80". Port 0 lets
    /// the kernel choose where it is bound. Errors: invalid. A scope that is a name makes system calls.
    static Result<SocketAddress> parse(std::string_view text) noexcept;

    [[nodiscard]] bool empty() const noexcept { return raw_.any.sa_family == AF_UNSPEC; }
    [[nodiscard]] bool is_v6() const noexcept { return raw_.any.sa_family == AF_INET6; }
    [[nodiscard]] std::uint16_t port() const noexcept;
    /// The same with another port.
    [[nodiscard]] SocketAddress with_port(std::uint16_t port) const noexcept;
    /// As parse() takes it, with the scope as a number; cut to the buffer, always terminated; returns what was written.
    std::string_view format(std::span<char> buffer) const noexcept;

    friend bool operator==(const SocketAddress& left, const SocketAddress& right) noexcept;

    /// As the kernel takes it.
    [[nodiscard]] sockaddr* raw() noexcept { return &raw_.any; }
    [[nodiscard]] const sockaddr* raw() const noexcept { return &raw_.any; }
    [[nodiscard]] socklen_t raw_size() const noexcept {
        return is_v6() ? sizeof(sockaddr_in6) : static_cast<socklen_t>(sizeof(sockaddr_in));
    }
    [[nodiscard]] int family() const noexcept { return raw_.any.sa_family; }

private:
    union Raw {
        sockaddr_in6 v6;
        sockaddr_in v4;
        sockaddr any;
    };
    Raw raw_;
};

}  // namespace weir
