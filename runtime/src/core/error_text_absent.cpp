// SPDX-License-Identifier: MIT
//
// Stands in where weir is built without texts: an error tells its numbers.
#include "weir/core/error.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace weir {

std::string_view text(Errc) noexcept {
    return "error";
}

std::string_view Error::message(std::span<char> buffer) const noexcept {
    if (buffer.empty()) return {};
    const int size =
        std::snprintf(buffer.data(), buffer.size(), "%s: error %u (%" PRIu64 ", %" PRIu64 "), errno %d",
                      operation != nullptr ? operation : "", static_cast<unsigned>(code), a, b,
                      static_cast<int>(system_errno));
    return {buffer.data(), std::min(static_cast<std::size_t>(std::max(size, 0)), buffer.size() - 1)};
}

}  // namespace weir
