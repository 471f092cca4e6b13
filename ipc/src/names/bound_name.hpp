// SPDX-License-Identifier: MIT
//
// A name that is served: its lock and its listening socket.
#pragma once

#include "weir/core/result.hpp"
#include "weir/ipc/names/runtime_directory.hpp"
#include "weir/sys/fd.hpp"

#include <cstdint>
#include <sys/socket.h>
#include <sys/types.h>

namespace weir::ipc {

struct BoundNameOptions {
    mode_t mode;         ///< of the socket's path, exactly
    std::int64_t owner;  ///< -1: as it comes
    std::int64_t group;
    int backlog;
};

struct BoundName {
    Fd lock;      ///< PATH.lock, held as long as it is open
    Fd listener;  ///< seqpacket, close-on-exec, non-blocking; lets no descriptors in, nor does what it accepts
};

/// Takes the lock, binds, listens, and puts the socket in place of what a killed server left. Errors: in_use (the
/// holder's pid in Error::a), denied, not_found (no such directory), invalid (something that is no socket lies there),
/// no_files.
Result<BoundName> bind_name(const RuntimePath& path, const BoundNameOptions& options) noexcept;

/// Removes path and lock; the lock itself goes with its descriptor.
void remove_name(const RuntimePath& path) noexcept;

/// Connects to `path`, non-blocking: the socket, which lets no descriptors in, or the negative errno in `status`.
Fd connect_to_name(const RuntimePath& path, long& status, int type = SOCK_SEQPACKET) noexcept;

}  // namespace weir::ipc
