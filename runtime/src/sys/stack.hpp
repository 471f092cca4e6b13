// SPDX-License-Identifier: MIT
//
// How much stack a thread has.
#pragma once

#include <cstddef>

namespace weir::sys {

/// Bytes that the calling thread's stack can still grow; for the first thread, whose stack the kernel extends, what its
/// limit allows in all. The largest number where there is no limit, or none that can be told.
[[nodiscard]] std::size_t stack_left() noexcept;

}  // namespace weir::sys
