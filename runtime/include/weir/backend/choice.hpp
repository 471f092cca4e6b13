// SPDX-License-Identifier: MIT
//
// Which backend a scheduler uses.
//
// Automatic takes io_uring where the kernel has what weir needs of it (6.1 on) and lets this process use it, else
// epoll, and keeps a sentence about why. A backend asked for by name is that backend or an error, never another.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {

enum class BackendChoice : std::uint8_t { automatic, io_uring, epoll, simulated };

/// "automatic", "io_uring", "epoll", "simulated"; nothing for any other text.
[[nodiscard]] std::optional<BackendChoice> backend_choice(std::string_view text) noexcept;
[[nodiscard]] std::string_view text(BackendChoice choice) noexcept;

/// How the simulated backend behaves. Everything follows from `seed`: the same seed and the same program give the
/// same run.
struct SimulationOptions {
    std::uint64_t seed = 1;
    /// Chances in 256 that ...
    std::uint8_t queued = 64;          ///< an operation that could complete at once is queued instead
    std::uint8_t short_transfer = 64;  ///< a stream transfer is cut short
    std::uint8_t interrupted = 16;     ///< a call is interrupted once (EINTR)
    std::uint8_t would_block = 16;     ///< a ready descriptor claims not to be, once more
    std::uint8_t lost_peer = 0;        ///< a stream socket's peer is gone (ECONNRESET)
    std::uint8_t no_files = 0;         ///< accept finds no free descriptor (EMFILE)
};

}  // namespace weir
