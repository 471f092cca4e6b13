// SPDX-License-Identifier: MIT
//
// The commands of the program `weir`.
#pragma once

#include <cstdio>

namespace weir::tool {

/// What this kernel offers, which backend results, the limits that will bite, and where names lie: a line for each (see
/// findings.hpp), then `fit` or `not fit`. 0 if everything will work, else 1. Changes nothing.
int doctor(std::FILE* out) noexcept;

}  // namespace weir::tool
