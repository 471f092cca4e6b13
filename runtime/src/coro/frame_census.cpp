// SPDX-License-Identifier: MIT
//
// The pool is asked for bytes before the frame exists, and the promise learns its function only when it is made. So a
// frame is named at the next event, when it has one: nothing else can have happened to the count of its function
// between. What is given back at once, before any other event, is named by what its promise left in memory.
//
// That leftover is read, and not what the promise says in its last moment, because a test in a destructor of every task
// would be paid by all programs for what few ask for. It is there: a task starts suspended, so its place was stored
// before anybody could resume or destroy it; nothing stores to it later; and the block is still the frame's.
#include "weir/coro/frame_census.hpp"

#include "weir/coro/task.hpp"

#include <coroutine>
#include <cstdio>

namespace weir {

[[gnu::noinline]] FrameCensus::Key FrameCensus::key_of(void* frame, std::size_t size) noexcept {
    // No optimiser that sees the promise's end may conclude that there is nothing to read.
    asm volatile("" : "+r"(frame) : : "memory");
    const TaskState& task = std::coroutine_handle<TaskState>::from_address(frame).promise();
    return {task.function(), task.line(), static_cast<std::uint32_t>(size)};
}

TaskUsage* FrameCensus::row_of(const Key& key) noexcept {
    const std::uint32_t count = table_.rows_count.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < count && i < TaskTable::rows_max; ++i) {
        if (keys_[i] == key) return &table_.rows[i];
    }
    if (count >= TaskTable::rows_max) {
        ++table_.not_told;
        return nullptr;
    }
    keys_[count] = key;
    TaskUsage& row = table_.rows[count];
    std::snprintf(row.function.data(), row.function.size(), "%s", key.function);
    row.line = key.line;
    row.frame_size = key.frame_size;
    // Pairs with the acquire load of whoever reads the table: the row has its name.
    table_.rows_count.store(count + 1, std::memory_order_release);
    return &row;
}

void FrameCensus::settle() noexcept {
    if (newest_ == nullptr) return;
    TaskUsage* const row = row_of(key_of(newest_, newest_size_));
    newest_ = nullptr;
    if (row == nullptr) return;
    ++row->made;
    if (++row->live > row->peak) row->peak = row->live;
}

void FrameCensus::given(FrameObserver& self, void* frame, std::size_t size) noexcept {
    auto& census = static_cast<FrameCensus&>(self);
    census.settle();
    census.newest_ = frame;
    census.newest_size_ = size;
    if (census.changed_ != nullptr) census.changed_(census.context_);
}

void FrameCensus::taken(FrameObserver& self, void* frame, std::size_t size) noexcept {
    auto& census = static_cast<FrameCensus&>(self);
    census.settle();
    census.note_taken(key_of(frame, size));
    if (census.changed_ != nullptr) census.changed_(census.context_);
}

void FrameCensus::note_taken(const Key& key) noexcept {
    TaskUsage* const row = row_of(key);
    if (row == nullptr) return;
    if (row->live > 0) {
        --row->live;
        return;
    }
    // Made before the counting began: a root task's frame may be.
    ++row->made;
    if (row->peak == 0) row->peak = 1;
}

}  // namespace weir
