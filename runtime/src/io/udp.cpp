// SPDX-License-Identifier: MIT
#include "weir/io/udp.hpp"

#include "io/inet_socket.hpp"
#include "sys/calls.hpp"

#include <cerrno>

namespace weir {
namespace {

constexpr Pending::Kind receiving{"udp receive", &OperationWait::visit_fd};
constexpr Pending::Kind sending{"udp send", &OperationWait::visit_fd};

}  // namespace

Result<UdpSocket> UdpSocket::bind(const SocketAddress& address, const UdpOptions& options) noexcept {
    WEIR_TRY(Fd fd, inet_socket(address, SOCK_DGRAM, "udp bind"));
    const auto bound = inet_bind(fd.get(), address, options.reuse_address, options.v6_only, "udp bind");
    if (!bound) return failure(bound.error());
    return UdpSocket(std::move(fd));
}

Result<UdpSocket> UdpSocket::connect_to(const SocketAddress& address) noexcept {
    WEIR_TRY(Fd fd, inet_socket(address, SOCK_DGRAM, "udp connect"));
    UdpSocket made(std::move(fd));
    const auto connected = made.connect(address);
    if (!connected) return failure(connected.error());
    return made;
}

Result<UdpSocket> UdpSocket::adopt(int fd) noexcept {
    return adopt_as<UdpSocket>(fd, handle_kind::udp, "adopt udp socket");
}

Result<void> UdpSocket::connect(const SocketAddress& address) noexcept {
    if (address.empty()) return failure(Errc::invalid, "udp connect");
    const long connected = sys::connect(fd(), address.raw(), address.raw_size());
    if (connected < 0) return failure(Error::from_errno("udp connect", static_cast<int>(-connected)));
    return {};
}

ReceiveFrom<SocketAddress> UdpSocket::receive_from(Bytes buffer) noexcept {
    return {*this, receiving, buffer};
}
ReceiveMessage UdpSocket::receive(Bytes buffer) noexcept {
    return {*this, receiving, buffer};
}
SendTo<SocketAddress> UdpSocket::send_to(ConstBytes datagram, const SocketAddress& address) noexcept {
    return {*this, sending, datagram, address};
}
SendMessage UdpSocket::send(ConstBytes datagram) noexcept {
    return {*this, sending, datagram, 0};
}

Result<SocketAddress> UdpSocket::local() const noexcept {
    return inet_local(fd(), "udp local address");
}

Result<SocketAddress> UdpSocket::peer() const noexcept {
    auto address = inet_peer(fd(), "udp peer address");
    if (!address && address.error().system_errno == ENOTCONN)
        return failure(Errc::invalid, "udp peer address");
    return address;
}

}  // namespace weir
