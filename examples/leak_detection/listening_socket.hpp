// SPDX-License-Identifier: MIT
//
// TCP sockets that the supervisor listens at and hands down: whoever serves them can be started again, and neither the
// port changes nor is a connection refused meanwhile.
#pragma once

#include "bounded_text.hpp"

#include <cstdint>

namespace leak {

struct ListeningSocket {
    int fd = -1;
    BoundedText<64> host;
    std::uint16_t port = 0;
    BoundedText<80> address;  // `127.0.0.1:8080`, `[::1]:8080`
    BoundedText<320> error;   // empty, or what is wrong
};

/// Listens at `address`, a number of IPv4 or IPv6; port 0 is any that is free. Before weir starts: it may block.
ListeningSocket listen_at(const char* address, std::uint16_t port);

}  // namespace leak
