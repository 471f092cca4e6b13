// SPDX-License-Identifier: MIT
//
// Where task frames live.
//
// An arena of fixed size is handed out in blocks of fixed size classes (32 bytes apart up to 256, then four
// classes per doubling, up to 32 KiB). A block is cut from the arena the first time its class needs one more
// than it ever had, and belongs to that class for ever. So the arena never fragments, and the rule for
// choosing its size is one sentence: a program fits if the sum, over the classes, of block size times that
// class's peak is at most the arena. usage() shows each class and its peak. Classes can also be cut in
// advance, by exact counts, so that the division does not depend on what happens first.
//
// An observer can be told of each frame, as coro/frame_census.hpp is. That costs nothing where there is none: with one the
// lists lie with it and those here stay empty, which sends both fast paths to the slow ones by the tests that they make
// anyway.
#pragma once

#include "weir/core/assert.hpp"
#include "weir/core/error.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weir {

/// Blocks of `size` bytes to cut at start, `count` of them.
struct FrameClass {
    std::uint32_t size = 0;
    std::uint32_t count = 0;
};

/// What is used of one class.
struct FrameUsage {
    std::uint32_t size;    ///< bytes of each block
    std::uint32_t blocks;  ///< cut so far
    std::uint32_t in_use;  ///< of these, now
    std::uint32_t peak;    ///< of these, at most so far
};

class FrameObserver;

/// The arena and its classes. A frame of more than size_max bytes is always refused.
class FramePool {
public:
    static constexpr std::size_t small_step = 32;
    static constexpr std::size_t small_max = 256;
    static constexpr std::size_t size_max = 32'768;
    static constexpr std::size_t small_classes = small_max / small_step;
    static constexpr std::size_t class_count = small_classes + 4 * 7;  // 256 -> 32,768 is seven doublings
    static constexpr std::size_t alignment = 16;

    /// `arena` is 16-aligned and outlives the pool.
    constexpr FramePool(std::byte* arena, std::size_t size) noexcept : arena_(arena), capacity_(size) {}
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;

    /// Cuts blocks in advance, fewer by those which were cut already (a root task's frame exists before its scheduler
    /// starts). False, and nothing cut, if they do not all fit into what is left of the arena, or one is too large;
    /// refusal() tells then how large the arena would have to be.
    [[nodiscard]] bool cut_in_advance(std::span<const FrameClass> classes) noexcept;

    /// Null if the class has no free block and the arena no room, or size is above size_max; refusal() then says why.
    [[nodiscard]] void* allocate(std::size_t size) noexcept {
        if (size > size_max) [[unlikely]]
            return refuse(size);
        Class& slot = classes_[class_of(size)];
        if (refuse_in_ != 0 && --refuse_in_ == 0) [[unlikely]]
            return refuse(size);
        FreeBlock* const block = slot.free;
        if (block == nullptr) [[unlikely]]
            return allocate_slowly(size);
        slot.free = block->next;
        if (++slot.in_use > slot.peak) slot.peak = slot.in_use;
        return block;
    }
    void release(void* memory, std::size_t size) noexcept {
        Class& slot = classes_[class_of(size)];
        if (slot.in_use == 0) [[unlikely]]
            return release_slowly(memory, size);
        --slot.in_use;
        slot.free = ::new (memory) FreeBlock{slot.free};
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::size_t cut_size() const noexcept { return cut_; }  ///< bytes cut into blocks so far
    [[nodiscard]] std::size_t refused_size() const noexcept { return refused_; }
    /// The last refusal as an error: no_frame with what Budget::frame_bytes would have to be and what it is, or too_large
    /// for what no arena gives.
    [[nodiscard]] Error refusal(const char* operation) const noexcept;
    [[nodiscard]] std::size_t live() const noexcept;                   ///< frames in use
    [[nodiscard]] FrameUsage usage(std::size_t index) const noexcept;  ///< index below class_count

    /// Tells `observer` of each frame from now on, or nobody if it is null. It outlives that. One at a time.
    void tell(FrameObserver* observer) noexcept;

    /// For tests of what a service does when memory is out: the count-th allocation from now on is refused
    /// (once); 0 turns it off.
    void refuse_in(std::uint32_t count) noexcept { refuse_in_ = count; }
    [[nodiscard]] static constexpr std::size_t class_of(std::size_t size) noexcept {
        if (size <= small_max) return size == 0 ? 0 : (size - 1) / small_step;
        // Between 2^k and 2^(k+1) there are four classes, each 2^(k-2) wide.
        const auto above = static_cast<std::size_t>(std::bit_width(size - 1) - 1);  // k
        const std::size_t quarter = ((size - 1) >> (above - 2)) & 3;
        return small_classes + (above - 8) * 4 + quarter;
    }
    [[nodiscard]] static constexpr std::size_t size_of_class(std::size_t index) noexcept {
        if (index < small_classes) return (index + 1) * small_step;
        const std::size_t above = 8 + (index - small_classes) / 4;
        const std::size_t quarter = (index - small_classes) % 4;
        return (std::size_t{1} << above) + (quarter + 1) * (std::size_t{1} << (above - 2));
    }

private:
    friend class FrameObserver;
    struct FreeBlock {
        FreeBlock* next;
    };
    struct Class {
        FreeBlock* free = nullptr;
        std::uint32_t blocks = 0;
        std::uint32_t in_use = 0;
        std::uint32_t peak = 0;
    };

    void* allocate_slowly(std::size_t size) noexcept;
    void release_slowly(void* memory, std::size_t size) noexcept;
    void* refuse(std::size_t size) noexcept;
    [[nodiscard]] Class* classes() noexcept;
    [[nodiscard]] const Class* classes() const noexcept;

    Class classes_[class_count];  // empty while there is an observer
    std::byte* arena_;
    std::size_t capacity_;
    std::size_t cut_ = 0;
    std::size_t refused_ = 0;
    std::uint64_t needed_ = 0;  // what the arena would have to be for what was refused
    FrameObserver* observer_ = nullptr;
    std::uint32_t refuse_in_ = 0;
};

/// Who is told of each frame that the pool gives and takes back, from inside of that: before the frame is made, and after
/// its end.
class FrameObserver {
public:
    FrameObserver(const FrameObserver&) = delete;
    FrameObserver& operator=(const FrameObserver&) = delete;

protected:
    using Event = void (*)(FrameObserver& self, void* frame, std::size_t size) noexcept;
    FrameObserver(Event given, Event taken) noexcept : given_(given), taken_(taken) {}
    ~FrameObserver() = default;

private:
    friend class FramePool;
    FramePool::Class classes_[FramePool::class_count];  // the pool's, meanwhile
    Event given_;
    Event taken_;
};

static_assert(FramePool::size_of_class(FramePool::class_count - 1) == FramePool::size_max);
static_assert(FramePool::class_of(FramePool::size_max) == FramePool::class_count - 1);
static_assert(FramePool::class_of(257) == FramePool::small_classes && FramePool::size_of_class(8) == 320);

}  // namespace weir
