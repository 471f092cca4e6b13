// SPDX-License-Identifier: MIT
//
// The assertion.
//
// A bug is an assertion and stays on in release builds; what the world does is a Result. A failed
// assertion writes one line to standard error and aborts, so that a core shows the place. Where NDEBUG is defined
// (-Db_ndebug=true) the line names the place alone, and programs do without the text of the expressions.
#pragma once

namespace weir {

/// Writes "weir: assertion failed: EXPRESSION (FILE:LINE)" to standard error and aborts; `expression` may be null.
/// Allocates nothing and may be called from any context.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace weir

#define WEIR_ASSERT(...)                                                                             \
    (static_cast<bool>(__VA_ARGS__)                                                                  \
         ? void(0)                                                                                   \
         : ::weir::assertion_failed(WEIR_IS_DEFINED(NDEBUG) ? nullptr : #__VA_ARGS__, __FILE_NAME__, \
                                    __LINE__))
/// What is not defined is its own name. (So that no line of the sources depends on it.)
#define WEIR_IS_DEFINED(macro) (sizeof(WEIR_TEXT_OF(macro)) != sizeof(#macro))
#define WEIR_TEXT_OF(expanded) #expanded
