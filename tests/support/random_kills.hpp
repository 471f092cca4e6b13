// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

namespace weir::test {

/// What became of an object whose processes were killed at random.
struct RandomKills {
    std::uint64_t kills = 0;
    std::uint64_t records = 0;  ///< that came, in all: samples, answers
    std::uint64_t lost = 0;     ///< of those that were promised
    std::uint64_t left = 0;     ///< files that are there afterwards
    std::string failure;  ///< empty if there was none: somebody waits for ever, or came to its end by itself
};

// Each kills one process after the other, `kills` in all, always after `between` more records have come, and starts it
// again. The sources say what was promised.
[[nodiscard]] RandomKills kill_ring_processes(std::uint64_t kills, std::uint64_t between);
[[nodiscard]] RandomKills kill_named_ring_processes(std::uint64_t kills, std::uint64_t between);
[[nodiscard]] RandomKills kill_topic_processes(std::uint64_t kills, std::uint64_t between);
[[nodiscard]] RandomKills kill_service_processes(std::uint64_t kills, std::uint64_t between);

}  // namespace weir::test
