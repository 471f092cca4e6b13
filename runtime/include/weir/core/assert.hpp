// SPDX-License-Identifier: MIT
//
// The assertion.
//
// A bug is an assertion and stays on in release builds; what the world does is a Result. A failed
// assertion writes one line to standard error and aborts, so that a core shows the place.
#pragma once

namespace weir {

/// Writes "weir: assertion failed: EXPRESSION (FILE:LINE)" to standard error and aborts.
/// Allocates nothing and may be called from any context.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace weir

#define WEIR_ASSERT(...) \
    (static_cast<bool>(__VA_ARGS__) ? void(0) : ::weir::assertion_failed(#__VA_ARGS__, __FILE__, __LINE__))
