// SPDX-License-Identifier: MIT
//
// What a run used of its budget, in a file that another program reads: `weir budget`.
//
// A scheduler that starts with $WEIR_BUDGET set keeps such a record in the file of that name, mapped, while it runs: so
// the record is there however the program ends, and can be read before. All that start with it share the file, each with
// a record of its own, the program's children too. It costs a list of task functions to be searched each time that a
// task begins or ends, a few calls at start, and the stack's pages; no memory afterwards. Without it, nothing.
#pragma once

#include "weir/coro/frame_census.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace weir {

/// One scheduler's. Fields are those of Budget and Usage; all of fixed width, the same on 32 and 64 bit.
struct BudgetRecord {
    enum State : std::uint32_t { absent, running, ended };
    struct Class {
        std::uint32_t size;
        std::uint32_t peak;
    };

    std::atomic<std::uint32_t> state;
    std::int32_t pid;
    std::array<char, 32> program;  ///< its name, cut, terminated
    std::uint64_t frame_bytes;
    std::uint64_t frame_bytes_cut;
    std::uint32_t submissions;
    std::uint32_t descriptors;
    std::uint32_t descriptors_peak;
    std::uint32_t links;
    std::uint32_t links_peak;
    std::uint32_t timer_slots;
    std::uint32_t spin_us;
    std::uint32_t grace_ms;
    std::uint32_t hold_warning_ms;
    std::uint32_t has_frame_classes;  ///< 1 if blocks were cut at start
    std::uint64_t stack_bytes;
    /// Of the thread's stack below run(), so many bytes were looked at, and so many had been used at most when the root
    /// task ended; 0, 0 before. As many as were looked at: or more.
    std::uint64_t stack_measured;
    std::uint64_t stack_peak;
    std::array<Class, FramePool::class_count> classes;
    TaskTable tasks;
};

/// The whole file. Zero before it is used.
struct BudgetFile {
    static constexpr std::uint64_t layout = 0x31'74'65'67'64'75'62'77;  // "wbudget1"
    static constexpr std::uint32_t records_max = 16;

    std::atomic<std::uint64_t> magic;  ///< `layout`
    std::atomic<std::uint32_t>
        claimed;  ///< schedulers that wanted a record; those beyond records_max have none
    std::uint32_t reserved;
    std::array<BudgetRecord, records_max> records;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(BudgetRecord) == 8 + 32 + 16 + 40 + 24 + 8 * FramePool::class_count + sizeof(TaskTable));
static_assert(sizeof(BudgetFile) == 16 + BudgetFile::records_max * sizeof(BudgetRecord));

}  // namespace weir
