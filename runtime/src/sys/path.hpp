// SPDX-License-Identifier: MIT
//
// Paths as callers give them: views that need not end in a zero and may contain one.
#pragma once

#include "weir/core/error.hpp"

#include <optional>
#include <string_view>

namespace weir::sys {

/// Why `path` cannot be handed to the kernel as it is: invalid when it is empty or has a zero in it, which would name
/// another file (or, in front, an abstract socket); too_large beyond `size_max` bytes.
[[nodiscard]] inline std::optional<Error> path_error(std::string_view path, std::size_t size_max,
                                                     const char* operation) noexcept {
    if (path.size() > size_max) {
        return Error{.code = Errc::too_large, .operation = operation, .a = path.size(), .b = size_max};
    }
    if (path.empty() || path.find('\0') != std::string_view::npos) {
        return Error{.code = Errc::invalid, .operation = operation};
    }
    return std::nullopt;
}

}  // namespace weir::sys
