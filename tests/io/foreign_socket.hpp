// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// Stream sockets of programs that know nothing of weir.

#include <weir/sys/fd.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include <sys/socket.h>
#include <sys/un.h>

namespace weir::test {

inline sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
    return address;
}
/// A server that knows nothing of weir's lock.
inline Fd foreign_server(const std::string& path) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(fd.get(), 4) == 0);
    return fd;
}
inline Fd plain_client(const std::string& path) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_un address = address_of(path);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) fd.close();
    return fd;
}

}  // namespace weir::test
