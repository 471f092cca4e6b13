// SPDX-License-Identifier: MIT
//
// Whose a file is that we made or found at a path, and whether it is still the one there.
#pragma once

#include <cstdint>
#include <sys/types.h>

namespace weir::sys {

/// Sets owner and group (-1: as they are), then the mode, exactly, of what `fd` is. 0 or the negative errno.
long set_ownership(int fd, std::int64_t owner, std::int64_t group, mode_t mode) noexcept;
/// The same of what lies at `path`, which is no symbolic link.
long set_ownership(const char* path, std::int64_t owner, std::int64_t group, mode_t mode) noexcept;

/// Whether `path` still names the file that `fd` is, and not one that somebody put in its place.
bool still_at(const char* path, int fd) noexcept;

}  // namespace weir::sys
