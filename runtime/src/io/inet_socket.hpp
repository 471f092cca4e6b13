// SPDX-License-Identifier: MIT
//
// What TCP and UDP sockets are asked and told alike.
#pragma once

#include "weir/io/socket_address.hpp"
#include "weir/sys/fd.hpp"

namespace weir {

/// Close-on-exec and non-blocking. An empty address is invalid.
Result<Fd> inet_socket(const SocketAddress& address, int type, const char* operation) noexcept;
Result<void> inet_bind(int fd, const SocketAddress& address, bool reuse_address, bool v6_only,
                       const char* operation) noexcept;
Result<SocketAddress> inet_local(int fd, const char* operation) noexcept;
Result<SocketAddress> inet_peer(int fd, const char* operation) noexcept;
Result<void> set_option(int fd, int level, int option, int value, const char* operation) noexcept;

}  // namespace weir
