// SPDX-License-Identifier: MIT
//
// How many frames of each task function there are, and were at most.
//
// A frame's size is the compiler's affair: it is known only where the frame is made, which is inside the task function's
// call. So the count is taken there. It is for choosing a Budget, and off unless a scheduler is told to keep a budget
// record (scheduler/budget_record.hpp).
#pragma once

#include "weir/coro/frame_pool.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weir {

/// One row: frames of one size that one function made. Of a template, instances with frames of one size share a row.
struct TaskUsage {
    std::array<char, 56> function;  ///< as the task tree names it, cut, terminated
    std::uint32_t line;
    std::uint32_t frame_size;  ///< bytes asked of the pool, which gives a block of the class that holds them
    std::uint32_t live;
    std::uint32_t peak;
    std::uint64_t made;  ///< frames in all
};

/// Of fixed width and without pointers: it can lie in memory that another process reads.
struct TaskTable {
    static constexpr std::uint32_t rows_max = 128;

    std::atomic<std::uint32_t> rows_count;
    std::uint32_t reserved;
    std::uint64_t not_told;  ///< frames for which no row was left
    std::array<TaskUsage, rows_max> rows;
};

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(sizeof(TaskUsage) == 80 && sizeof(TaskTable) == 16 + 80 * TaskTable::rows_max);

/// Counts while a pool tells it. Not for two pools at a time.
class FrameCensus final : public FrameObserver {
public:
    /// `table` is zero. `changed`, if not null, is called after a frame was made or given back, from inside of that.
    explicit FrameCensus(TaskTable& table, void (*changed)(void* context) noexcept = nullptr,
                         void* context = nullptr) noexcept
        : FrameObserver(given, taken), table_(table), changed_(changed), context_(context) {}

    /// Names the frame that was made last, which is done only when the next thing happens to a frame: the table lacks it
    /// till then. Not between a task function's call and its return.
    void settle() noexcept;

private:
    struct Key {
        const char* function;
        std::uint32_t line;
        std::uint32_t frame_size;
        bool operator==(const Key&) const noexcept = default;
    };

    static void given(FrameObserver& self, void* frame, std::size_t size) noexcept;
    static void taken(FrameObserver& self, void* frame, std::size_t size) noexcept;
    void note_taken(const Key& key) noexcept;
    [[nodiscard]] static Key key_of(void* frame, std::size_t size) noexcept;
    [[nodiscard]] TaskUsage* row_of(const Key& key) noexcept;

    TaskTable& table_;
    void (*changed_)(void* context) noexcept;
    void* context_;
    void* newest_ = nullptr;
    std::size_t newest_size_ = 0;
    std::array<Key, TaskTable::rows_max> keys_{};
};

}  // namespace weir
