// SPDX-License-Identifier: MIT
//
// Timers.
//
// One structure holds every timer of a scheduler. Time is cut into ticks of 2^20 ns (1.05 ms). A timer that is
// due in the current tick or earlier sits in a small heap and fires to the nanosecond; a later one sits in a
// bucket of a hierarchical wheel, a linked list, where arming and disarming are O(1) however many timers live.
// When time reaches a bucket its timers move down a level or into the heap.
//
// The wheel has `slots` buckets per level. 16 suits a few timers; with 65,536 (1 MiB) a timer due within
// 68 s is filed once and never moved again, which is what a million live timers want.
//
// After Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP 1987.
#pragma once

#include "weir/core/heap.hpp"
#include "weir/core/time.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir {

class TimerWheel;

/// One timer. Pinned while armed; whoever owns it disarms it before it dies. 48 bytes on 64-bit.
class Timer : public HeapNode {
public:
    using Fire = void (*)(Timer&) noexcept;

    explicit constexpr Timer(Fire fire) noexcept : fire_(fire) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { WEIR_ASSERT(!armed()); }

    [[nodiscard]] bool armed() const noexcept { return place_ != place_none; }
    [[nodiscard]] Instant at() const noexcept { return instant_of_ns(at_ns_); }

private:
    friend class TimerWheel;
    static constexpr std::uint32_t place_none = 0xffff'ffff;
    static constexpr std::uint32_t place_heap = 0xffff'fffe;

    std::int64_t at_ns_ = 0;
    Fire fire_;
    std::uint32_t place_ = place_none;  // the bucket, or one of the two above
};

class TimerWheel {
public:
    static constexpr unsigned tick_shift = 20;
    static constexpr std::size_t slots_min = 16;
    static constexpr std::size_t slots_max = 65'536;
    static constexpr unsigned levels_max = 8;

    /// Whether a wheel can have `slots` buckets per level.
    [[nodiscard]] static constexpr bool takes(std::size_t slots) noexcept {
        return (slots & (slots - 1)) == 0 && slots >= slots_min && slots <= slots_max;
    }
    /// Levels that `slots` buckets each need to cover 2^30 ticks (13 days); later timers wait in a list.
    [[nodiscard]] static constexpr unsigned levels_of(std::size_t slots) noexcept {
        const unsigned bits = bits_of(slots);
        unsigned levels = 1;
        while (levels * bits < 30) ++levels;
        return levels;
    }
    /// Bytes of storage that a wheel with `slots` buckets per level needs, 8-aligned.
    [[nodiscard]] static constexpr std::size_t storage_size(std::size_t slots) noexcept {
        const std::size_t levels = levels_of(slots);
        const std::size_t heads = levels * slots * sizeof(void*);
        return (heads + 7) / 8 * 8 + levels * words_of(slots) * sizeof(std::uint64_t);
    }

    constexpr TimerWheel() noexcept = default;
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;

    /// `slots` is one that it takes(): a power of two from slots_min to slots_max; `storage` has storage_size(slots) bytes,
    /// 8-aligned, and outlives the wheel. The first timer that is armed lays them out.
    void start(std::span<std::byte> storage, std::size_t slots, Instant now) noexcept;

    /// Arms an idle timer to fire once at `at`; with slack, at the roundest instant of [at, at + slack], so
    /// that timers which need no precision fire together.
    void arm(Timer& timer, Instant at, Duration slack = Duration::zero()) noexcept;
    /// Does nothing for an idle timer.
    void disarm(Timer& timer) noexcept;

    /// Fires at most `count_max` timers that are due at `now`; returns how many fired.
    std::size_t fire_due(Instant now, std::size_t count_max) noexcept {
        return count_ == 0 ? 0 : work_->fire_due(*this, now, count_max);
    }

    /// When to look again: not later than the earliest timer, `never` without one. With at most eight timers
    /// in the earliest bucket it is exact.
    [[nodiscard]] Instant next() const noexcept { return count_ == 0 ? never : work_->next(*this); }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

private:
    struct Earlier {
        bool operator()(const Timer& left, const Timer& right) const noexcept {
            return left.at_ns_ < right.at_ns_;
        }
    };
    struct Bucket {
        unsigned level;
        std::uint32_t slot;
        std::uint64_t first_tick;
    };

    /// What there is to do once a timer is armed: known to those who arm one, and so not linked into other programs.
    struct Work {
        std::size_t (*fire_due)(TimerWheel&, Instant now, std::size_t count_max) noexcept;
        Instant (*next)(const TimerWheel&) noexcept;
    };
    static const Work work;

    static constexpr unsigned bits_of(std::size_t slots) noexcept {
        unsigned bits = 0;
        while ((std::size_t{1} << bits) < slots) ++bits;
        return bits;
    }
    static constexpr std::size_t words_of(std::size_t slots) noexcept { return (slots + 63) / 64; }

    /// Timer::place_ of those in the overflow list.
    [[nodiscard]] std::uint32_t place_overflow() const noexcept { return levels_ * slots_; }
    [[nodiscard]] Bucket earliest_of(unsigned level) const noexcept;
    [[nodiscard]] Bucket earliest_bucket() const noexcept;
    [[nodiscard]] static std::int64_t earliest_ns(const HeapNode* node, std::uint64_t first_tick) noexcept;
    [[nodiscard]] std::uint64_t overflow_tick() const noexcept;
    void place(Timer& timer) noexcept;
    void place_elsewhere(Timer& timer, std::uint64_t tick) noexcept;
    void put(Timer& timer, unsigned level, std::uint32_t slot) noexcept;
    void link(HeapNode*& head, Timer& timer, std::uint32_t place) noexcept;
    void note_empty(unsigned level, std::uint32_t slot) noexcept;
    void replace_all(HeapNode*& head) noexcept;
    void warm() noexcept;
    void lay_out() noexcept;
    std::size_t fire(Instant now, std::size_t count_max) noexcept;
    [[nodiscard]] Instant earliest() const noexcept;
    void advance(std::uint64_t tick) noexcept;

    Heap<Timer, Earlier> near_;
    const Work* work_ = nullptr;         // from the first timer on
    std::span<std::byte> storage_;       // of the next two
    HeapNode** heads_ = nullptr;         // levels x slots; null until the first timer
    std::uint64_t* occupied_ = nullptr;  // levels x words: one bit per nonempty bucket
    HeapNode* overflow_ = nullptr;       // beyond the highest level
    std::uint64_t cursor_ = 0;           // the current tick: everything due in it or before is in near_
    std::uint64_t warmed_until_ = 0;     // the first tick whose bucket warm() has not looked at
    std::size_t count_ = 0;
    std::uint32_t occupied_count_[levels_max] = {};  // nonempty buckets, for each level
    std::uint32_t slots_ = 0;
    std::uint8_t bits_ = 0;
    std::uint8_t levels_ = 0;
};

}  // namespace weir
