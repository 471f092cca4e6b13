// SPDX-License-Identifier: MIT
//
// What the kernel can do for a service that has deadlines: which processors it runs on, memory that is always there, and
// coming before all that is not real time.
//
//     return weir::run_main<budget>(argc, argv, serve, {},
//                                   {.processors = 1U << 3, .lock_memory = true, .fifo_priority = 50});
#pragma once

#include "weir/core/result.hpp"

#include <cstdint>

namespace weir {

/// Nothing is asked for where nothing is said.
struct RealTimeOptions {
    /// A bit for each of the first 64 that may be used; 0: those that may be now.
    std::uint64_t processors = 0;
    /// All memory, that of now and of later, stays in RAM.
    bool lock_memory = false;
    /// SCHED_FIFO with this priority, 1 to 99; 0: scheduled as before.
    std::uint8_t fifo_priority = 0;
};

/// Does what `options` ask for, for this thread (memory: the process), in the order of their members, and ends at the
/// first error; what was done stays. run_main() calls it before its scheduler starts. With `lock_memory`, 128 KiB of the
/// stack are touched, too, so that no page of them has to be found later. Children that are spawned, and threads of a
/// Worker, begin with the normal priority, and may use the same processors. Makes a few system calls. Errors: invalid
/// (no such priority, or none of these processors is there), denied (RLIMIT_MEMLOCK and RLIMIT_RTPRIO allow it, or
/// CAP_IPC_LOCK and CAP_SYS_NICE), no_memory (more than RLIMIT_MEMLOCK), unsupported.
Result<void> become_real_time(const RealTimeOptions& options) noexcept;

}  // namespace weir
