// SPDX-License-Identifier: MIT
//
// How late a deadline is seen, each millisecond, while other programs use the same core: for each library a program that
// hands its way of waiting to measure_deadlines().
#pragma once

#include <cstddef>
#include <cstdint>

namespace bench {

inline constexpr std::uint64_t deadline_period_ns = 1'000'000;
inline constexpr int deadline_priority = 50;

struct Deadlines {
    std::uint64_t* late_ns;  // for each of them
    std::size_t count;
    std::uint64_t longest_turn_ns = 0;  // 0: there are none
};

/// Calls `wait`, which returns when as many deadlines as `count` says have passed, while two programs compute on the same
/// core. Prints the median of what they were late, p99_ns, worst_ns and, if there are turns, worst_turn_ns.
int measure_deadlines(const char* count, void (*wait)(Deadlines&));

}  // namespace bench
