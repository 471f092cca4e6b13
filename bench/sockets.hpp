// SPDX-License-Identifier: MIT
//
// Sockets: a thousand unix stream connections, all of them busy.
//
// The parent is the load. In each round it sends 64 bytes on every connection, then takes every echo; its child
// serves. Both run on one core and in batch scheduling, in which a process that is woken does not push the running
// one aside: so the server finds all thousand connections ready, as a server at its limit does, and each variant
// gets the same load. An operation is one echo, and its figure is the server's own processor time, in user and
// kernel mode: one core can serve 1e9 / figure echoes in a second. The time of the load is not in it.

#pragma once

#include "measurement.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace bench {

inline constexpr std::size_t connection_count = 1'000;
inline constexpr std::size_t echo_size = 64;
/// Larger than an echo: a read that does not fill it has emptied the socket.
using EchoBuffer = std::array<std::byte, 4 * echo_size>;

/// Sends back what arrives on each of the non-blocking sockets until all of them have ended.
using Serve = void (*)(std::span<const int> sockets);

struct NamedServer {
    std::string_view name;
    Serve serve;
};

/// The whole of `main`: `PROGRAM APPROACH ECHOES`.
int sockets_main(std::span<char* const> arguments, std::span<const NamedServer> servers);

/// The servers that need no library.
void serve_by_epoll(std::span<const int> sockets);
void serve_by_uring(std::span<const int> sockets);
void serve_by_uring_sends(std::span<const int> sockets);
void serve_by_uring_polls(std::span<const int> sockets);
void serve_by_uring_whole(std::span<const int> sockets);

}  // namespace bench
