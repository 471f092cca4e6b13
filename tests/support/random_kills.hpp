// SPDX-License-Identifier: MIT
#pragma once

#include <weir/scheduler/scheduler.hpp>

#include <cstdint>
#include <cstdio>
#include <string>

namespace weir::test {

/// Runs `make()`, a task of what is to be killed, on a fresh scheduler; every other process uses epoll. Its exit status.
template <class Make>
int play_as(const char* who, Scheduler& scheduler, std::uint32_t started, Make make) {
    const auto backend = started % 2 == 0 ? BackendChoice::epoll : BackendChoice::automatic;
    if (!scheduler.start({.backend = backend})) return 2;
    const auto outcome = scheduler.run(make());
    if (outcome) return 0;
    char text[200];
    outcome.error().message(text);
    std::fprintf(stderr, "%s: %s\n", who, text);
    return 1;
}

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
