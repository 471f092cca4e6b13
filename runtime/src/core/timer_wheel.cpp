// SPDX-License-Identifier: MIT
//
// Where a timer goes: let `cursor` be the current tick and `tick` the timer's. The highest bit in which they
// differ says the level (bits / bits per level): a timer of level 0 shares everything above the lowest group of
// bits with the cursor, and so on. Hence within a level every occupied slot lies behind the cursor's own
// slot, no slot is shared by two rounds, and the first occupied slot of the lowest occupied level is the
// earliest of all.
#include "weir/core/timer_wheel.hpp"

#include <bit>
#include <cstring>

namespace weir {

void TimerWheel::start(std::span<std::byte> storage, std::size_t slots, Instant now) noexcept {
    WEIR_ASSERT(std::has_single_bit(slots) && slots >= slots_min && slots <= slots_max);
    WEIR_ASSERT(storage.size() >= storage_size(slots));
    WEIR_ASSERT(reinterpret_cast<std::uintptr_t>(storage.data()) % alignof(std::uint64_t) == 0);
    WEIR_ASSERT(count_ == 0);
    slots_ = static_cast<std::uint32_t>(slots);
    bits_ = static_cast<std::uint8_t>(bits_of(slots));
    levels_ = static_cast<std::uint8_t>(levels_of(slots));
    const std::size_t words = levels_ * words_of(slots_) * sizeof(std::uint64_t);
    std::memset(storage.data(), 0, storage_size(slots));
    void* const bits = storage.data();   // 8-aligned, as asserted
    void* const heads = storage.data() + words;
    occupied_ = static_cast<std::uint64_t*>(bits);
    heads_ = static_cast<HeapNode**>(heads);
    cursor_ = static_cast<std::uint64_t>(to_ns(now)) >> tick_shift;
}

void TimerWheel::arm(Timer& timer, Instant at, Duration slack) noexcept {
    WEIR_ASSERT(!timer.armed());
    std::int64_t at_ns = to_ns(at) > 0 ? to_ns(at) : 0;
    if (slack.count() > 0) {
        // The instant of the window with the most trailing zero bits: clear, in the latest instant, all
        // bits below the highest one in which it differs from the last instant before the window.
        const std::int64_t latest = to_ns(after(instant_of_ns(at_ns), slack));
        const auto differing = static_cast<std::uint64_t>(latest ^ (at_ns - 1));
        const auto below = std::bit_floor(differing) - 1;
        at_ns = static_cast<std::int64_t>(static_cast<std::uint64_t>(latest) & ~below);
    }
    timer.at_ns_ = at_ns;
    ++count_;
    place(timer);
}

void TimerWheel::link(HeapNode*& head, Timer& timer, std::uint32_t place) noexcept {
    timer.sibling_ = head;
    timer.previous_ = nullptr;
    if (head != nullptr) head->previous_ = &timer;
    head = &timer;
    timer.place_ = place;
}

void TimerWheel::place(Timer& timer) noexcept {
    const std::uint64_t tick = static_cast<std::uint64_t>(timer.at_ns_) >> tick_shift;
    if (tick <= cursor_) {
        timer.place_ = Timer::place_heap;
        near_.push(timer);
        return;
    }
    const unsigned highest = 63U - static_cast<unsigned>(std::countl_zero(tick ^ cursor_));
    unsigned level = 0;
    for (unsigned bits = bits_; bits <= highest; bits += bits_) ++level;
    if (level >= levels_) {
        link(overflow_, timer, levels_ * slots_);
        return;
    }
    const auto slot = static_cast<std::uint32_t>((tick >> (level * bits_)) & (slots_ - 1));
    const std::uint32_t bucket = level * slots_ + slot;
    link(heads_[bucket], timer, bucket);
    occupied_[level * words_of(slots_) + slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void TimerWheel::disarm(Timer& timer) noexcept {
    if (!timer.armed()) return;
    --count_;
    const std::uint32_t place = timer.place_;
    timer.place_ = Timer::place_none;
    if (place == Timer::place_heap) {
        near_.remove(timer);
        return;
    }
    if (timer.sibling_ != nullptr) timer.sibling_->previous_ = timer.previous_;
    if (timer.previous_ != nullptr) {
        timer.previous_->sibling_ = timer.sibling_;
        return;
    }
    if (place == levels_ * slots_) {
        overflow_ = timer.sibling_;
        return;
    }
    heads_[place] = timer.sibling_;
    if (timer.sibling_ == nullptr) {
        const std::uint32_t slot = place & (slots_ - 1);
        occupied_[(place >> bits_) * words_of(slots_) + slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
    }
}

TimerWheel::Bucket TimerWheel::earliest_bucket() const noexcept {
    const std::size_t words = words_of(slots_);
    for (unsigned level = 0; level < levels_; ++level) {
        const std::uint64_t* const map = occupied_ + level * words;
        const auto from = static_cast<std::uint32_t>((cursor_ >> (level * bits_)) & (slots_ - 1)) + 1;
        if (from == slots_) continue;
        std::size_t word = from / 64;
        std::uint64_t bits = map[word] & (~std::uint64_t{0} << (from % 64));
        while (bits == 0 && ++word < words) bits = map[word];
        if (bits == 0) continue;
        const auto slot = static_cast<std::uint32_t>(word * 64) + static_cast<unsigned>(std::countr_zero(bits));
        const unsigned shift = level * bits_;
        const std::uint64_t round = cursor_ >> (shift + bits_) << (shift + bits_);
        return {level, slot, round | (std::uint64_t{slot} << shift), true};
    }
    return {0, 0, 0, false};
}

// The overflow list is looked through whenever the highest level begins a new round.
std::uint64_t TimerWheel::overflow_tick() const noexcept {
    const unsigned shift = levels_ * bits_;
    return ((cursor_ >> shift) + 1) << shift;
}

void TimerWheel::replace_all(HeapNode*& head) noexcept {
    HeapNode* node = head;
    head = nullptr;
    while (node != nullptr) {
        HeapNode* const next = node->sibling_;
        place(*static_cast<Timer*>(node));
        node = next;
    }
}

void TimerWheel::advance(std::uint64_t tick) noexcept {
    while (cursor_ < tick) {
        const Bucket bucket = earliest_bucket();
        if (bucket.found && bucket.first_tick <= tick) {
            cursor_ = bucket.first_tick;
            occupied_[bucket.level * words_of(slots_) + bucket.slot / 64] &=
                ~(std::uint64_t{1} << (bucket.slot % 64));
            replace_all(heads_[bucket.level * slots_ + bucket.slot]);
        } else if (overflow_ != nullptr && overflow_tick() <= tick) {
            cursor_ = overflow_tick();
            replace_all(overflow_);
        } else {
            cursor_ = tick;
        }
    }
}

std::size_t TimerWheel::fire_due(Instant now, std::size_t count_max) noexcept {
    if (count_ == 0) return 0;
    advance(static_cast<std::uint64_t>(to_ns(now)) >> tick_shift);
    std::size_t fired = 0;
    while (fired < count_max && !near_.empty() && near_.top().at_ns_ <= to_ns(now)) {
        Timer& timer = near_.pop();
        timer.place_ = Timer::place_none;
        --count_;
        ++fired;
        timer.fire_(timer);
    }
    return fired;
}

Instant TimerWheel::next() const noexcept {
    if (count_ == 0) return never;
    if (!near_.empty()) return near_.top().at();
    const Bucket bucket = earliest_bucket();
    const std::uint64_t first_tick = bucket.found ? bucket.first_tick : overflow_tick();
    constexpr unsigned looked_at_max = 8;
    std::int64_t earliest = std::numeric_limits<std::int64_t>::max();
    unsigned looked_at = 0;
    const HeapNode* node = bucket.found ? heads_[bucket.level * slots_ + bucket.slot] : overflow_;
    for (; node != nullptr; node = node->sibling_) {
        if (++looked_at > looked_at_max)
            return instant_of_ns(static_cast<std::int64_t>(first_tick << tick_shift));
        const std::int64_t at_ns = static_cast<const Timer*>(node)->at_ns_;
        if (at_ns < earliest) earliest = at_ns;
    }
    return instant_of_ns(earliest);
}

}  // namespace weir
