// SPDX-License-Identifier: MIT
//
// How far apart things lie that different processes write.
#pragma once

#include <cstddef>

namespace weir::ipc {

/// Bytes between things that different processes write: two lines of 64, since many processors fetch them in pairs. Fixed,
/// since it is part of every layout in shared memory.
inline constexpr std::size_t cache_line = 128;

}  // namespace weir::ipc
