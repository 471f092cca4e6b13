// SPDX-License-Identifier: MIT
//
// Reading what another process writes.
#pragma once

#include <cstddef>
#include <cstring>

namespace weir::ipc {

/// Copies what the peer may change meanwhile: memory that it writes, and memory that it made for us. Nobody reads `from`
/// again instead of `to`: what is checked there is what is used.
inline void copy_from_peer(std::byte* to, const std::byte* from, std::size_t size) noexcept {
    std::memcpy(to, from, size);
    asm volatile("" ::: "memory");
}

}  // namespace weir::ipc
