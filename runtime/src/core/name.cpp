// SPDX-License-Identifier: MIT
#include "weir/core/name.hpp"

namespace weir {

Result<Name> Name::make(std::string_view text) noexcept {
    if (text.size() > size_max) return failure(Errc::too_large, "name", text.size(), size_max);
    if (!valid(text)) return failure(Errc::invalid, "name");
    return Name(text, Checked{});
}

}  // namespace weir
