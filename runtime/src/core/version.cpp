// SPDX-License-Identifier: MIT
#include <weir/version.hpp>

namespace weir {

Version library_version() noexcept {
    return header_version;
}

}  // namespace weir
