// SPDX-License-Identifier: MIT
#include "weir/core/assert.hpp"

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace weir {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
    char text[512];
    const bool shown_whole = expression != nullptr;
    const int size = std::snprintf(text, sizeof(text), "weir: assertion failed%s%s (%s:%d)\n",
                                   shown_whole ? ": " : "", shown_whole ? expression : "", file, line);
    if (size > 0) {
        const std::size_t shown =
            static_cast<std::size_t>(size) < sizeof(text) ? static_cast<std::size_t>(size) : sizeof(text) - 1;
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, shown);
    }
    std::abort();
}

}  // namespace weir
