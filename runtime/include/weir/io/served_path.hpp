// SPDX-License-Identifier: MIT
//
// The path at which a socket of ours is served.
//
// Who binds first takes a lock on PATH.lock, which the kernel drops when its holder dies, however it dies. That tells
// a path that a killed process left, which is taken over, from one in use. A path that somebody serves without our
// lock is in use, too.
#pragma once

#include "weir/sys/fd.hpp"
#include "weir/sys/path.hpp"

#include <cstdint>
#include <sys/types.h>

namespace weir {

/// How the path of a socket is made.
struct PathOptions {
    mode_t mode = 0600;       ///< of the path, exactly, whatever the umask
    std::int64_t owner = -1;  ///< uid of the path; -1: as it comes
    std::int64_t group = -1;  ///< gid of the path; -1: as it comes
};

/// Move-only. Its destructor removes path and lock file.
class ServedPath {
public:
    ServedPath() noexcept = default;
    ServedPath(ServedPath&& other) noexcept;
    ServedPath& operator=(ServedPath&& other) noexcept;
    ~ServedPath() { remove(); }

    /// Binds `fd`, a new unix socket of any type. Errors: in_use (with the holder's pid in Error::a where it is
    /// known), denied, not_found (no such directory), too_large, invalid (path, or something that is no socket lies
    /// there). A datagram socket that is there may hold the thread for up to 50 ms: see the source.
    static Result<ServedPath> bind(int fd, std::string_view path, const PathOptions& options,
                                   const char* operation) noexcept;

    void remove() noexcept;
    /// The path stays, and the lock on it ends.
    void leave() noexcept;
    /// Absolute; empty if there is none.
    [[nodiscard]] std::string_view view() const noexcept { return path_.view(); }

private:
    Fd lock_;
    BoundedPath path_;
};

}  // namespace weir
