// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// What this run of a test program was asked for by its environment:
///
///     WEIR_BACKEND     simulated, epoll or io_uring; which backend upper-layer tests use (default: simulated)
///     WEIR_SEED        the first seed (default 1)
///     WEIR_SEEDS       how many seeds each seeded test tries on the simulated backend (default 16)
///     WEIR_REPEATS     percent of the repetitions by which tests seek rare moments (default 100); less on slow machines
///     WEIR_SUITE       the name printed in the suite's last line
///     WEIR_SKIP_SUITE  a reason to run nothing and count every test as skipped

#include "catch.hpp"

#include <cstdint>
#include <string>

namespace weir::test {

[[nodiscard]] const std::string& backend_name();
[[nodiscard]] inline bool on_simulated() {
    return backend_name() == "simulated";
}

[[nodiscard]] std::uint64_t first_seed();
[[nodiscard]] std::uint64_t seeds_count();

/// How often a test that seeks a rare moment by repetition repeats here, given how often it does on a fast machine.
[[nodiscard]] std::uint32_t repeats(std::uint32_t on_a_fast_machine);

/// Counts a seed for the line `seeds run`; the first call says where the seeds begin.
void note_seed_run();

/// Runs `body(seed)` for every seed of this run on the simulated backend, and once with the first seed on a real one,
/// where a seed chooses only what the test itself draws from it. A failed assertion names the seed.
template <typename Body>
void for_each_seed(Body&& body) {
    const std::uint64_t count = on_simulated() ? seeds_count() : 1;
    for (std::uint64_t seed = first_seed(); seed != first_seed() + count; ++seed) {
        INFO("seed " << seed << " (WEIR_SEED=" << seed << " WEIR_SEEDS=1 runs it alone)");
        if (on_simulated()) {
            note_seed_run();
        }
        body(seed);
    }
}

}  // namespace weir::test
