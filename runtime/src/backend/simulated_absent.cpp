// SPDX-License-Identifier: MIT
#include "backend/choice.hpp"

namespace weir {

std::size_t simulated_size() noexcept {
    return 0;
}

Result<Backend*> make_simulated(std::span<std::byte>, const BackendNeeds&) noexcept {
    return failure(Errc::unsupported, "simulated backend, left out when weir was built");
}

}  // namespace weir
