// SPDX-License-Identifier: MIT
#include "backend/choice.hpp"

#include <cstdio>

namespace weir {

void explain(std::span<char> reason, const char* name, const char* why, const Error* error) noexcept {
    if (reason.empty()) return;
    char cause[160] = "";
    if (error != nullptr) error->message(cause);
    std::snprintf(reason.data(), reason.size(), "%s%s%s", name, why, cause);
}

}  // namespace weir
