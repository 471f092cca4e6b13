// SPDX-License-Identifier: MIT
//
// A death at every store of the ring.
//
// A child process writes or reads a ring and kills itself (SIGKILL) before or after its k-th store, for every k there
// is; so it never dies in good order. Its peer lives on in this process, and is checked: every record that was
// committed arrives, in order and whole, nothing that was not committed is seen, nobody sleeps for ever, and after a
// reader's death its successor gets the rest.
#pragma once

#include <weir/ipc/ring/atomics.hpp>

#include <array>
#include <cstdint>
#include <string>

namespace weir::test {

struct KillCounts {
    std::uint32_t points = 0;    ///< deaths
    std::uint32_t survived = 0;  ///< after which all was well
    /// Deaths for each site of the algorithm: before the store and after it (of a copy also in its middle).
    std::array<std::uint32_t, ipc::ring::sites_count> before{};
    std::array<std::uint32_t, ipc::ring::sites_count> middle{};
    std::array<std::uint32_t, ipc::ring::sites_count> after{};
    std::string first_failure;  ///< empty if there was none
};

/// Kills the writer at each of its stores.
[[nodiscard]] KillCounts kill_ring_writers();
/// Kills the reader at each of its stores.
[[nodiscard]] KillCounts kill_ring_readers();

}  // namespace weir::test
