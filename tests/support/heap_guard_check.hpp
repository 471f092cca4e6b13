// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace weir::test::heap_guard {

/// Called with every allocation of the program by whichever interposer the build has. Returns when the calling thread
/// is not armed.
void check(const char* function, std::size_t size) noexcept;

}  // namespace weir::test::heap_guard
