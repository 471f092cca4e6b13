// SPDX-License-Identifier: MIT
//
// Unix socket addresses.
#pragma once

#include "weir/sys/path.hpp"

#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

namespace weir {

static_assert(sizeof(sockaddr_un{}.sun_path) == BoundedPath::size_max + 1);

/// `path` is resolved.
inline sockaddr_un unix_address_of(const BoundedPath& path) noexcept {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.view().size());
    return address;
}

inline const sockaddr* generic(const sockaddr_un& address) noexcept {
    const void* const bytes = &address;
    return static_cast<const sockaddr*>(bytes);
}

}  // namespace weir
