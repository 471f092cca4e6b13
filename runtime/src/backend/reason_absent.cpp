// SPDX-License-Identifier: MIT
//
// Stands in where weir is built without texts: the reason is the name alone.
#include "backend/choice.hpp"

namespace weir {

void explain(std::span<char> reason, const char* name, const char*, const Error*) noexcept {
    std::size_t size = 0;
    for (; name[size] != '\0' && size + 1 < reason.size(); ++size) reason[size] = name[size];
    if (!reason.empty()) reason[size] = '\0';
}

}  // namespace weir
