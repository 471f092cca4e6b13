// SPDX-License-Identifier: MIT
#include "backend/choice.hpp"
#include "backend/simulated.hpp"

#include <new>

namespace weir {

std::size_t simulated_size() noexcept {
    return sizeof(SimulatedBackend);
}

Result<Backend*> make_simulated(std::span<std::byte> memory, const BackendNeeds& needs) noexcept {
    WEIR_ASSERT(memory.size() >= sizeof(SimulatedBackend));
    return ::new (memory.data())
        SimulatedBackend(needs.simulation != nullptr ? *needs.simulation : SimulationOptions{});
}

}  // namespace weir
