// SPDX-License-Identifier: MIT
//
// A lock file that says who serves a path.
//
// PATH.lock is opened (mode 0600) and locked with an open-file-description lock, which the kernel drops when its
// holder dies, however it dies. The holder writes its pid into it. Removing it while it is held is safe: whoever
// locked a file that is no longer the one at the path tries again.
#pragma once

#include "weir/core/result.hpp"
#include "weir/sys/fd.hpp"

namespace weir::sys {

/// The locked file. Errors: in_use (holder's pid in Error::a, 0 if unknown), denied (also if what lies there is no file, or
/// one that has another path as well), not_found, too_large.
Result<Fd> take_lock(const char* path, const char* operation) noexcept;

/// Removes PATH.lock; the lock itself goes with the descriptor.
void remove_lock(const char* path) noexcept;

}  // namespace weir::sys
