// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace weir::test {

/// Asks the kernel, by a plain system call, for the kind of ring that the io_uring backend needs. Empty when it gives
/// one, else why not. Independent of the library, so that a library that wrongly finds io_uring missing fails its
/// tests instead of skipping them.
[[nodiscard]] std::string why_no_io_uring();

}  // namespace weir::test
