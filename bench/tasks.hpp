// SPDX-License-Identifier: MIT
//
// Tasks: what it costs to switch between two of them, and to await a child.
//
// switch-N: N tasks yield in turn; an operation is one yield, which is one switch. The first task
// takes the time whenever all of them together have made a batch.
// child: one task makes, awaits and destroys a child that returns at once; an operation is one child.
// The bodies are in a translation unit of their own (tasks_*_bodies.cpp), so that the compiler can
// neither merge a task with its caller nor elide its frame.

#pragma once

#include "measurement.hpp"

#include <cstddef>
#include <span>

namespace bench {

struct TaskPrograms {
    double (*switch_ns)(std::size_t task_count, std::size_t switches);
    double (*child_ns)(std::size_t children);
};

/// A batch for `task_count` tasks in whole rounds, and about 20 µs at 10 ns a switch.
[[nodiscard]] constexpr std::size_t rounds_per_batch(std::size_t task_count) noexcept {
    constexpr std::size_t switches = 2'000;
    return switches > task_count ? switches / task_count : 1;
}

inline constexpr std::size_t children_per_batch = 2'000;

/// The whole of `main`: `PROGRAM {switch-N,child} OPERATIONS`.
int tasks_main(std::span<char* const> arguments, const TaskPrograms& programs);

}  // namespace bench
