// SPDX-License-Identifier: MIT
//
// UDP: datagrams that may be lost, doubled, or come out of order.
#pragma once

#include "weir/io/message.hpp"
#include "weir/io/socket_address.hpp"

namespace weir {

struct UdpOptions {
    bool reuse_address = false;  ///< others may bind the same port (SO_REUSEADDR)
    bool v6_only = false;        ///< [::] takes no IPv4; otherwise such peers come as IPv4-mapped addresses
};

class UdpSocket : public Handle {
public:
    UdpSocket() noexcept = default;
    explicit UdpSocket(Fd fd) noexcept : Handle(std::move(fd)) {}

    /// Receives at `address`; port 0 lets the kernel choose, and local() tells. Errors: in_use, denied, not_found (no
    /// address of this host), unsupported (no IPv6 here), invalid (empty), no_files.
    static Result<UdpSocket> bind(const SocketAddress& address, const UdpOptions& options = {}) noexcept;
    /// Bound by the kernel when it first sends, and connected to `address`: send() goes there, and only what comes from
    /// there is received. Does not wait. Errors: as bind(), and unreachable.
    static Result<UdpSocket> connect_to(const SocketAddress& address) noexcept;
    /// Takes over a UDP socket. Errors: wrong_kind, closed.
    static Result<UdpSocket> adopt(int fd) noexcept;

    /// From now on send() goes to `address`, and only what comes from there is received. Errors: unreachable, invalid
    /// (empty), closed.
    Result<void> connect(const SocketAddress& address) noexcept;

    /// The next datagram and its sender. Errors: overflow (a = its size, b = the buffer's), refused (connected, and an
    /// earlier datagram found nobody), busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] ReceiveFrom<SocketAddress> receive_from(Bytes buffer) noexcept;
    /// The same without the sender.
    [[nodiscard]] ReceiveMessage receive(Bytes buffer) noexcept;
    /// Errors: too_large (a = its size), unreachable, denied (a firewall, or broadcast), invalid (an empty address), busy,
    /// cancelled, timed_out, no_descriptor.
    [[nodiscard]] SendTo<SocketAddress> send_to(ConstBytes datagram, const SocketAddress& address) noexcept;
    /// To where it is connected. Besides: invalid (not connected), refused (an earlier one found nobody).
    [[nodiscard]] SendMessage send(ConstBytes datagram) noexcept;

    /// Errors: closed.
    [[nodiscard]] Result<SocketAddress> local() const noexcept;
    /// Where it is connected. Errors: closed, invalid (nowhere).
    [[nodiscard]] Result<SocketAddress> peer() const noexcept;
};

}  // namespace weir
