// SPDX-License-Identifier: MIT
//
// Results.
//
// Every function that can fail returns Result<T> = tl::expected<T, Error>. It works without exceptions, so
// nothing here or in user code may call .value(): test first, then dereference, or let the macros leave the
// function. WEIR_TRY serves plain functions; its sisters for tasks, WEIR_CO_TRY and WEIR_CO_CHECK, are in
// coro/task.hpp.
#pragma once

#include "weir/core/error.hpp"

#include <tl/expected.hpp>

namespace weir {

/// A value or an Error. Test it, then use * or ->; value() is undefined on an error.
template <class T = void>
using Result = tl::expected<T, Error>;

/// Makes the error side of any Result.
[[nodiscard]] inline tl::unexpected<Error> failure(const Error& error) {
    return tl::unexpected<Error>(error);
}
[[nodiscard]] inline tl::unexpected<Error> failure(Errc code, const char* operation, std::uint64_t a = 0,
                                                   std::uint64_t b = 0) {
    return tl::unexpected<Error>(
        Error{.code = code, .system_errno = 0, .operation = operation, .a = a, .b = b});
}

}  // namespace weir

#define WEIR_JOIN_AGAIN(left, right) left##right
#define WEIR_JOIN(left, right) WEIR_JOIN_AGAIN(left, right)

/// WEIR_TRY(auto value, f(x)); declares `value` from the Result of f(x), or returns its error. Several statements:
/// after an `if` it needs braces.
#define WEIR_TRY(declaration, ...) \
    WEIR_TRY_NAMED(WEIR_JOIN(weir_result_, __COUNTER__), declaration, __VA_ARGS__)
#define WEIR_TRY_NAMED(result, declaration, ...)                         \
    auto result = (__VA_ARGS__);                                         \
    if (!result) return ::tl::unexpected<::weir::Error>(result.error()); \
    declaration = *std::move(result)
