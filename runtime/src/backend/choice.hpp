// SPDX-License-Identifier: MIT
//
// Making a backend in given memory: the one file beside the backends that knows them all.
#pragma once

#include "weir/backend/backend.hpp"
#include "weir/backend/choice.hpp"

#include <span>

namespace weir {

/// What a backend needs to be made.
struct BackendNeeds {
    DescriptorTable& descriptors;
    unsigned submissions;
    const SimulationOptions* simulation;  // null: defaults
};

/// Bytes that the largest backend takes; none is aligned to more than 16.
[[nodiscard]] std::size_t backend_size_max() noexcept;

/// The choice that `text` names: up to its terminator, or `size` letters.
std::optional<BackendChoice> backend_choice(const char* text, std::size_t size) noexcept;

/// Makes the chosen backend in `memory` and writes into `reason` why it is this one.
Result<Backend*> make_backend(BackendChoice choice, std::span<std::byte> memory, const BackendNeeds& needs,
                              std::span<char> reason) noexcept;

/// Makes the io_uring backend, or says why it cannot be had. Two files define it; the build picks one.
Result<Backend*> make_uring(std::span<std::byte> memory, const BackendNeeds& needs) noexcept;
[[nodiscard]] std::size_t uring_size() noexcept;

/// Writes into `reason` which backend it is, and why; or why not, with what stood in the way where that is known.
void explain(std::span<char> reason, const char* name, const char* why, const Error* error) noexcept;

/// The same for the simulated backend.
Result<Backend*> make_simulated(std::span<std::byte> memory, const BackendNeeds& needs) noexcept;
[[nodiscard]] std::size_t simulated_size() noexcept;

}  // namespace weir
