// SPDX-License-Identifier: MIT
//
// Deaths of the sides of a named ring, after which another process takes the same side.
//
// At every store of the algorithm, by atomics that kill (kill_harness.hpp); and, of the library as it is built, before
// and after every system call of making, opening, using and removing one, and at any instruction in between, by a parent
// that traces its child. Each time: every record that was committed is there, whole and in order, none that was not;
// the successor goes on without a gap; what was not released comes again, and nothing else does; the ring can be
// removed, and then nothing is left of it.
#pragma once

#include "ring/kill_harness.hpp"

#include <cstdint>

namespace weir::test {

/// At each store.
[[nodiscard]] KillCounts kill_named_ring_writers();
[[nodiscard]] KillCounts kill_named_ring_readers();

/// Whether this process may trace a child. Not under an emulator or in some sandboxes.
[[nodiscard]] bool may_trace_children();
/// At each system call, before it and behind it: of a process that makes and writes a ring, that reads one, that removes
/// one; and of a second one that does the same after each of these deaths. Sites are not counted.
[[nodiscard]] KillCounts kill_named_rings_at_calls();
/// At `kills` instructions drawn from `seed`.
[[nodiscard]] KillCounts kill_named_rings_anywhere(std::uint32_t kills, std::uint64_t seed);

}  // namespace weir::test
