// SPDX-License-Identifier: MIT
//
// How much of everything a scheduler may use. Fixed before it starts; nothing grows afterwards.
#pragma once

#include "weir/backend/operation.hpp"
#include "weir/coro/frame_pool.hpp"
#include "weir/scheduler/link_table.hpp"

#include "weir/core/timer_wheel.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir {

/// A structural type, so a constexpr Budget can be a template argument.
struct Budget {
    /// Bytes for the frames of all tasks. Enough if the sum over frame classes of size x peak fits; see
    /// coro/frame_pool.hpp and Scheduler::usage().
    std::size_t frame_bytes = 64 * 1024;
    /// Blocks to cut at start; without any the arena is cut as tasks first need it.
    std::array<FrameClass, 8> frame_classes{};
    /// io_uring entries between two waits; more are handed over early, not lost.
    std::uint32_t submissions = 64;
    /// Descriptors on which tasks wait at some time (handles that were awaited, plus readable()/writable()).
    std::uint32_t descriptors = 64;
    /// Attachments to other processes at one time: one for each client of a name served here, one for each name
    /// served, one for each name opened. Their descriptors are not among those above.
    std::uint32_t links = 2;
    /// Buckets per level of the timer wheel, a power of two from 16 to 65,536; see core/timer_wheel.hpp.
    std::uint32_t timer_slots = 32;
    /// How long to look at shared memory that tasks await before the thread blocks, in microseconds; 0: not at all. It
    /// looks only while that pays, see scheduler/spinner.hpp, and never where the thread may run on one processor only
    /// when it would look first.
    std::uint32_t spin_us = 20;
    /// How long a stopped program may take to end before run_main names the tasks that live and exits; 0: for ever.
    std::uint32_t grace_ms = 5'000;
    /// A task that runs longer than this without suspending is reported by name; 0 turns the measuring off
    /// (it costs two looks at the clock for each resumption).
    std::uint32_t hold_warning_ms = 0;
    /// Bytes of the thread's stack, from run() downwards, below which no task is begun inside another: Errc::no_stack. What
    /// a task uses once it runs is not limited by it. Less than the thread has, which is not checked; 0: no limit.
    std::size_t stack_bytes = 256 * 1024;
};

/// For a small service: about 22 KiB in all.
inline constexpr Budget small_budget{.frame_bytes = 16 * 1024,
                                     .submissions = 32,
                                     .descriptors = 32,
                                     .links = 2,
                                     .timer_slots = 16,
                                     .stack_bytes = 64 * 1024};
/// For thousands of clients: about 4.2 MiB in all.
inline constexpr Budget large_budget{.frame_bytes = 4 * 1024 * 1024,
                                     .submissions = 512,
                                     .descriptors = 4'096,
                                     .links = 64,
                                     .timer_slots = 256};

/// Where each part lies in a scheduler's storage.
struct StorageLayout {
    std::size_t frames;       ///< offset of the frame arena, 16-aligned
    std::size_t descriptors;  ///< offset of the descriptor entries, those of the links behind the others
    std::size_t links;        ///< offset of the link table's slots
    std::size_t timers;       ///< offset of the timer wheel
    std::size_t size;         ///< bytes in all
};

/// The layout for `budget`; `size` is what a Scheduler's storage has to have.
[[nodiscard]] constexpr StorageLayout storage_layout(const Budget& budget) noexcept {
    constexpr auto aligned = [](std::size_t offset) { return (offset + 15) / 16 * 16; };
    StorageLayout layout{};
    layout.frames = 0;
    layout.descriptors = aligned(budget.frame_bytes);
    const std::size_t entries = budget.descriptors + LinkTable::entries_of(budget.links);
    layout.links = aligned(layout.descriptors + entries * sizeof(DescriptorEntry));
    layout.timers = aligned(layout.links + budget.links * sizeof(LinkSlot));
    layout.size = aligned(layout.timers + TimerWheel::storage_size(budget.timer_slots));
    return layout;
}

}  // namespace weir
