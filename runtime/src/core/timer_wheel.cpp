// SPDX-License-Identifier: MIT
//
// Where a timer goes: at level k a slot is a span of slots^k ticks, and a timer goes to the lowest level on which
// its span is fewer than `slots` spans ahead of the one that the current tick, the cursor, lies in. The slots of a
// level are used in a circle, so a timer due within `slots` ticks is always at level 0, wherever the cursor stands.
// A bucket moves down when the cursor reaches the beginning of its span. Hence, on each level:
//   - every timer lies ahead of the cursor's own span, so no slot is shared by two rounds, and
//   - the first occupied slot, going round from the cursor's own, is the level's earliest.
// Of buckets that begin at the same tick the highest goes first, since what is in it may belong into the others.
#include "weir/core/timer_wheel.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace weir {
namespace {

constexpr std::uint64_t no_tick = ~std::uint64_t{0};

// See warm().
constexpr std::size_t warmed_count_min = 4'096;  // fewer timers stay in the cache by themselves
constexpr unsigned warmed_ticks = 16;  // about as many cache lines as a core fetches at the same time
constexpr unsigned warmed_steps_max = 64;
static_assert(warmed_ticks <= TimerWheel::slots_min);
static_assert(TimerWheel::levels_max == TimerWheel::levels_of(TimerWheel::slots_min));

}  // namespace

void TimerWheel::start(std::span<std::byte> storage, std::size_t slots, Instant now) noexcept {
    WEIR_ASSERT(count_ == 0);
    storage_ = storage;
    slots_ = static_cast<std::uint32_t>(slots);
    heads_ = nullptr;
    cursor_ = static_cast<std::uint64_t>(to_ns(now)) >> tick_shift;
}

constexpr TimerWheel::Work TimerWheel::work{
    .fire_due = [](TimerWheel& wheel, Instant now,
                   std::size_t count_max) noexcept { return wheel.fire(now, count_max); },
    .next = [](const TimerWheel& wheel) noexcept { return wheel.earliest(); },
};

[[gnu::noinline]] void TimerWheel::lay_out() noexcept {
    WEIR_ASSERT(takes(slots_));
    WEIR_ASSERT(storage_.size() >= storage_size(slots_));
    WEIR_ASSERT(reinterpret_cast<std::uintptr_t>(storage_.data()) % alignof(std::uint64_t) == 0);
    bits_ = static_cast<std::uint8_t>(bits_of(slots_));
    levels_ = static_cast<std::uint8_t>(levels_of(slots_));
    std::memset(storage_.data(), 0, storage_size(slots_));
    void* const bits = storage_.data();  // 8-aligned, as asserted
    occupied_ = static_cast<std::uint64_t*>(bits);
    void* const heads = occupied_ + levels_ * words_of(slots_);
    heads_ = static_cast<HeapNode**>(heads);
    work_ = &work;
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
    if (heads_ == nullptr) [[unlikely]]
        lay_out();
    ++count_;
    place(timer);
}

inline void TimerWheel::link(HeapNode*& head, Timer& timer, std::uint32_t place) noexcept {
    HeapNode* const after = head;
    timer.place_ = place;
    timer.sibling_ = after;
    timer.holder_ = &head;
    if (after != nullptr) after->holder_ = &timer.sibling_;
    head = &timer;
}

inline void TimerWheel::put(Timer& timer, unsigned level, std::uint32_t slot) noexcept {
    const std::uint32_t bucket = level * slots_ + slot;
    if (heads_[bucket] == nullptr) [[unlikely]] {
        ++occupied_count_[level];
        occupied_[level * words_of(slots_) + slot / 64] |= std::uint64_t{1} << (slot % 64);
    }
    link(heads_[bucket], timer, bucket);
}

// Short, since it waits for memory: the fewer instructions, the more timers a core has in hand meanwhile.
void TimerWheel::place(Timer& timer) noexcept {
    const std::uint64_t tick = static_cast<std::uint64_t>(timer.at_ns_) >> tick_shift;
    if (tick - cursor_ - 1 < slots_ - 1) [[likely]] {  // ahead, and by fewer than `slots` ticks
        put(timer, 0, static_cast<std::uint32_t>(tick) & (slots_ - 1));
    } else {
        place_elsewhere(timer, tick);
    }
}

[[gnu::noinline]] void TimerWheel::place_elsewhere(Timer& timer, std::uint64_t tick) noexcept {
    if (tick <= cursor_) {
        timer.place_ = Timer::place_heap;
        near_.push(timer);
        return;
    }
    unsigned level = 1;
    unsigned shift = bits_;
    while (level < levels_ && (tick >> shift) - (cursor_ >> shift) >= slots_) {
        ++level;
        shift += bits_;
    }
    if (level < levels_) {
        put(timer, level, static_cast<std::uint32_t>(tick >> shift) & (slots_ - 1));
    } else {
        link(overflow_, timer, place_overflow());
    }
}

void TimerWheel::note_empty(unsigned level, std::uint32_t slot) noexcept {
    --occupied_count_[level];
    occupied_[level * words_of(slots_) + slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
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
    HeapNode* const after = timer.sibling_;
    *timer.holder_ = after;
    // One branch that is seldom taken: the timer was likely not in the cache, and a wrong guess waits for it.
    if (after != nullptr) [[likely]] {
        after->holder_ = timer.holder_;
    } else if (place != place_overflow() && timer.holder_ == &heads_[place]) {
        note_empty(place >> bits_, place & (slots_ - 1));
    }
}

// The level has an occupied slot.
TimerWheel::Bucket TimerWheel::earliest_of(unsigned level) const noexcept {
    const std::size_t words = words_of(slots_);
    const std::uint64_t* const map = occupied_ + level * words;
    const unsigned shift = level * bits_;
    const auto from = static_cast<std::uint32_t>((cursor_ >> shift) & (slots_ - 1));
    std::size_t word = from / 64;
    std::uint64_t bits = map[word] & (~std::uint64_t{0} << (from % 64));
    while (bits == 0) {  // round to the slots of the first word that lie before `from`
        word = word + 1 == words ? 0 : word + 1;
        bits = map[word];
    }
    const auto slot = static_cast<std::uint32_t>(word * 64) + static_cast<unsigned>(std::countr_zero(bits));
    const std::uint32_t ahead = (slot - from) & (slots_ - 1);
    return {level, slot, ((cursor_ >> shift) + ahead) << shift};
}

// The overflow list counts as a bucket above the highest level.
TimerWheel::Bucket TimerWheel::earliest_bucket() const noexcept {
    Bucket earliest{levels_, 0, overflow_ != nullptr ? overflow_tick() : no_tick};
    for (unsigned level = levels_; level-- > 0;) {
        if (occupied_count_[level] == 0) continue;
        const Bucket bucket = earliest_of(level);
        if (bucket.first_tick < earliest.first_tick) earliest = bucket;
    }
    return earliest;
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

// The timers of a bucket are a chain through memory. Among a million each link is far from the last, and to follow
// it takes 100 ns and more, in which nothing else happens. So the chains of several ticks are followed side by side
// before the first of them is due: their waits overlap, and moving the timers then finds them in the cache.
void TimerWheel::warm() noexcept {
    const HeapNode* chains[warmed_ticks];
    for (unsigned i = 0; i < warmed_ticks; ++i)
        chains[i] = heads_[static_cast<std::uint32_t>(cursor_ + i) & (slots_ - 1)];
    for (unsigned step = 0; step < warmed_steps_max; ++step) {
        bool any = false;
        for (const HeapNode*& node : chains) {
            if (node == nullptr) continue;
            __builtin_prefetch(&static_cast<const Timer*>(node)->place_);  // perhaps in the next cache line
            node = node->sibling_;
            any = true;
        }
        if (!any) break;
    }
    warmed_until_ = cursor_ + warmed_ticks;
}

void TimerWheel::advance(std::uint64_t tick) noexcept {
    if (tick <= cursor_) return;
    for (;;) {
        const Bucket bucket = earliest_bucket();
        if (bucket.first_tick > tick) break;
        cursor_ = bucket.first_tick;
        if (bucket.level == levels_) {
            replace_all(overflow_);
            continue;
        }
        if (count_ >= warmed_count_min && cursor_ >= warmed_until_) warm();
        note_empty(bucket.level, bucket.slot);
        replace_all(heads_[bucket.level * slots_ + bucket.slot]);
    }
    cursor_ = tick;
}

std::size_t TimerWheel::fire(Instant now, std::size_t count_max) noexcept {
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

// When the earliest of the chain is due; if it is long, when its bucket begins.
std::int64_t TimerWheel::earliest_ns(const HeapNode* node, std::uint64_t first_tick) noexcept {
    constexpr unsigned looked_at_max = 8;
    std::int64_t earliest = std::numeric_limits<std::int64_t>::max();
    unsigned looked_at = 0;
    for (; node != nullptr; node = node->sibling_) {
        if (++looked_at > looked_at_max) return static_cast<std::int64_t>(first_tick << tick_shift);
        earliest = std::min(earliest, static_cast<const Timer*>(node)->at_ns_);
    }
    return earliest;
}

Instant TimerWheel::earliest() const noexcept {
    if (!near_.empty()) return near_.top().at();
    // A bucket that begins early may hold nothing but timers that are due late: each level is asked.
    std::int64_t earliest = std::numeric_limits<std::int64_t>::max();
    if (overflow_ != nullptr) earliest = earliest_ns(overflow_, overflow_tick());
    for (unsigned level = 0; level < levels_; ++level) {
        if (occupied_count_[level] == 0) continue;
        const Bucket bucket = earliest_of(level);
        const HeapNode* const head = heads_[level * slots_ + bucket.slot];
        earliest = std::min(earliest, earliest_ns(head, bucket.first_tick));
    }
    return instant_of_ns(earliest);
}

}  // namespace weir
