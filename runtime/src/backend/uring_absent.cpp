// SPDX-License-Identifier: MIT
#include "backend/choice.hpp"

namespace weir {

std::size_t uring_size() noexcept {
    return 0;
}

Result<Backend*> make_uring(std::span<std::byte>, const BackendNeeds&) noexcept {
    return failure(Errc::unsupported, "io_uring, left out when weir was built");
}

}  // namespace weir
