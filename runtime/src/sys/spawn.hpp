// SPDX-License-Identifier: MIT
//
// Starting another program.
#pragma once

#include "weir/core/result.hpp"
#include "weir/sys/fd.hpp"

#include <cstdint>
#include <span>
#include <sys/types.h>

namespace weir::sys {

/// `from`, a descriptor of ours, becomes `to` in the child.
struct FdMove {
    int from;
    int to;
};

struct SpawnPlan {
    const char* path;
    char* const* arguments;    ///< null-terminated, the program's own name first
    char* const* environment;  ///< null-terminated
    const char* directory;     ///< null: ours
    std::span<const FdMove> descriptors;
    std::int64_t user;   ///< -1: ours
    std::int64_t group;  ///< -1: ours
    int death_signal;    ///< sent to the child when this thread dies; 0: none
    bool new_group;      ///< a process group of its own
};

struct Spawned {
    pid_t pid;
    Fd pidfd;
};

inline constexpr std::size_t moves_max = 16;

/// Starts the program and waits until its exec succeeded or failed. In the child all signals are unblocked and at
/// their defaults, and only the given descriptors are open. Errors: not_found, denied, invalid, no_files, …, with
/// the name of the step that failed.
Result<Spawned> spawn(const SpawnPlan& plan) noexcept;

}  // namespace weir::sys
