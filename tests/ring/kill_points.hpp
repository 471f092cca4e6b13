// SPDX-License-Identifier: MIT
//
// A death at every store of the ring: of the writer, and of the reader.
//
// Every record that was committed arrives, in order and whole, nothing that was not committed is seen, nobody sleeps
// for ever, and after a reader's death its successor gets the rest.
#pragma once

#include "ring/kill_harness.hpp"

namespace weir::test {

/// Kills the writer at each of its stores.
[[nodiscard]] KillCounts kill_ring_writers();
/// Kills the reader at each of its stores.
[[nodiscard]] KillCounts kill_ring_readers();

}  // namespace weir::test
