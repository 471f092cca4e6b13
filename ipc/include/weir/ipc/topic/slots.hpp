// SPDX-License-Identifier: MIT
//
// The publisher's slots: which of them may be written to.
//
// A slot is *linked* while an entry stands for its sample, *out* while the publisher fills it, *retired* once its entry
// stands for another one, and *free*. Retired ones may still be read by whoever pinned them; a scan over all pins frees
// the others. All of this is the publisher's private memory.
#pragma once

#include "weir/ipc/topic/atomics.hpp"

#include <cstddef>
#include <cstdint>

namespace weir::ipc::topic {

inline constexpr std::uint32_t no_slot = 0xffff'ffff;

class SlotPool {
public:
    /// Words that a pool of `slots` needs.
    [[nodiscard]] static constexpr std::size_t words_of(std::size_t slots) noexcept { return 3 * slots; }

    SlotPool() noexcept = default;
    /// `words` are words_of(slots) of them, all zero; they outlive the pool. All slots are free.
    SlotPool(std::uint32_t* words, std::uint32_t slots) noexcept
        : free_(words), retired_(words + slots), kept_in_(words + 2 * std::size_t{slots}), size_(slots) {
        // The first to be taken is the first of them.
        for (std::uint32_t slot = slots; slot > 0; --slot) free_[free_count_++] = slot - 1;
    }

    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return free_count_ == 0; }
    /// One that is free; the pool is not empty.
    [[nodiscard]] std::uint32_t take() noexcept { return free_[--free_count_]; }
    /// Taken, and never linked.
    void give_back(std::uint32_t slot) noexcept { free_[free_count_++] = slot; }
    void retire(std::uint32_t slot) noexcept { retired_[retired_count_++] = slot; }

    // --- a scan: begin, keep() for each pin, end

    void begin_scan() noexcept {
        if (++scan_ != 0) return;
        for (std::uint32_t slot = 0; slot < size_; ++slot) kept_in_[slot] = 0;  // once in 2^32 scans
        scan_ = 1;
    }
    void keep(std::uint32_t slot) noexcept { kept_in_[slot] = scan_; }
    void end_scan() noexcept {
        std::uint32_t kept = 0;
        for (std::uint32_t i = 0; i < retired_count_; ++i) {
            const std::uint32_t slot = retired_[i];
            if (kept_in_[slot] == scan_) {
                retired_[kept++] = slot;
            } else {
                free_[free_count_++] = slot;
            }
        }
        retired_count_ = kept;
    }

private:
    std::uint32_t* free_ = nullptr;
    std::uint32_t* retired_ = nullptr;
    std::uint32_t* kept_in_ = nullptr;  // for each slot, the scan that found it pinned last
    std::uint32_t size_ = 0;
    std::uint32_t free_count_ = 0;
    std::uint32_t retired_count_ = 0;
    std::uint32_t scan_ = 0;
};

/// Frees what is retired and not pinned. `read_pins(pool)` calls keep_pins() of each subscriber. Where all pins
/// together are fewer than what is retired, at least one slot is free afterwards, whatever they say.
template <class Atomics, class ReadPins>
void reclaim(SlotPool& pool, ReadPins&& read_pins) noexcept {
    Atomics::fence(Fence::after_unlink);  // pairs with after_pin in each subscriber
    pool.begin_scan();
    read_pins(pool);
    pool.end_scan();
}

}  // namespace weir::ipc::topic
