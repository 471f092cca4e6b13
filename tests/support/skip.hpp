// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// Leaving a test case that cannot run here. A skip is neither a pass nor silence: the suite prints it with its
/// reason and counts it.

#include <string>

namespace weir::test {

/// Ends the running test case as skipped. Call it from the test's own function, before any SECTION, and never from
/// inside weir: it unwinds by an exception, which the library does not let through.
[[noreturn]] void skip(const std::string& reason);

}  // namespace weir::test
