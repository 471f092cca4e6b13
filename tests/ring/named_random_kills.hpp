// SPDX-License-Identifier: MIT
//
// A writer and a reader of a named ring, each a process, of which one is killed at random and started again, many times.
// The records are numbered. Both work in bursts, so that each sleeps often.
#pragma once

#include <cstdint>
#include <string>

namespace weir::test {

struct RandomKills {
    std::uint32_t kills = 0;
    std::uint64_t records = 0;  ///< read in all
    std::uint64_t again = 0;    ///< of them, those that came again after their reader had been killed
    std::uint64_t lost = 0;     ///< gaps
    std::uint64_t left = 0;     ///< files that are there when the ring has been removed
    std::string failure;  ///< empty if there was none: somebody sleeps for ever, a side cannot be taken again
};

/// At least `records_between` are read between two kills.
[[nodiscard]] RandomKills kill_named_ring_sides(std::uint32_t kills, std::uint32_t records_between,
                                                std::uint64_t seed);

}  // namespace weir::test
