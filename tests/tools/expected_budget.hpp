// SPDX-License-Identifier: MIT
//
// What `weir budget` prints for the record in budget_test.cpp, which includes it: so it compiles.
// clang-format off
constexpr weir::Budget budget{
    .frame_bytes = 3840,
    .submissions = 32,  // as it was
    .descriptors = 34,
    .links = 3,
    .timer_slots = 16,  // as it was
    .spin_us = 20,  // as it was
    .grace_ms = 5000,  // as it was
    .hold_warning_ms = 7,  // as it was
    .stack_bytes = 28672,
};
