// SPDX-License-Identifier: MIT
//
// Both ends of a TCP connection over this machine's loopback, in one scheduler.
#pragma once

#include <weir/io/tcp.hpp>
#include <weir/weir.hpp>

namespace weir::test {

inline SocketAddress loopback(std::uint16_t port = 0) {
    return SocketAddress::v4({127, 0, 0, 1}, port);
}

// On the simulated backend time does not pass while the kernel's own loopback works; it does its work at once.
inline Task<> accepts_into(Scheduler&, TcpListener& listener, TcpStream& peer) {
    WEIR_CO_TRY(peer, listener.accept());
}
inline Task<> connects_into(Scheduler&, SocketAddress address, TcpStream& stream) {
    WEIR_CO_TRY(stream, TcpStream::connect(address));
}
inline Task<> joins(Scheduler& scheduler, SocketAddress at, TcpStream& client, TcpStream& server) {
    WEIR_CO_TRY(auto listener, TcpListener::bind(at));
    WEIR_CO_TRY(const SocketAddress address, listener.local());
    WEIR_CO_CHECK(
        all_of(accepts_into(scheduler, listener, server), connects_into(scheduler, address, client)));
}

}  // namespace weir::test
