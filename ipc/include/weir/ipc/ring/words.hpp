// SPDX-License-Identifier: MIT
//
// One side of a ring: its two words, and what it knows of the peer's.
//
// A ring has a writer and a reader, and each has two words that it alone writes: a *cursor* (the writer's: all before
// it is committed; the reader's: all before it is released) and an *epoch*. Cursors are 32 bits wide and run freely;
// what they count, bytes or slots, is the same on both sides. The two semaphores of the classic bounded buffer are
// differences of the cursors: `items` = committed - released, `space` = capacity - items.
//
// **Advancing** stores the cursor with release, fences, and loads the peer's epoch: odd, and not the one that was
// rung for last, means that the peer has to be rung. **Sleeping** stores an odd epoch, fences, and looks at the peer's
// cursor again: if it has moved, the announcement is withdrawn, and otherwise sleep is safe, since whoever moves it
// afterwards sees the odd epoch. Each of the two fences closes one half of the gap; without either a wake-up can fall
// into it. An epoch is rung for once. A full fence costs more than a record does. So the epoch may be loaded without one
// at first, which misses only a peer that falls asleep in that very moment; it is missed no longer than until the next
// load behind a fence, which a busy side makes once for many records, and always before it sleeps itself.
//
// The peer's cursor is read once, copied and checked: it may neither go back nor beyond what the own cursor lets it
// reach. A copy that passed the check is kept, so that a side that has work does not touch the peer's cache line.
//
// After a new attach the private part begins anew. Epochs go on from the value that is stored, so that an old
// announcement is never taken for a new one, and each side rings once, since the one before it may have died between
// its store and its ring.
#pragma once

#include "weir/ipc/ring/atomics.hpp"
#include "weir/ipc/shm/cache_line.hpp"

#include <cstdint>

namespace weir::ipc::ring {

/// What one side shares. The epoch has a line of its own: it is loaded at every advance and stored at every sleep.
template <class Word>
struct BasicWords {
    alignas(cache_line) Word cursor{0};
    alignas(cache_line) Word epoch{0};
};
template <class Atomics>
using Words = BasicWords<typename Atomics::Word>;
static_assert(sizeof(Words<MachineAtomics>) == 2 * cache_line);
static_assert(alignof(Words<MachineAtomics>) == cache_line);

/// How often somebody slept whose epoch this is: odd ones are announcements, two steps for each.
[[nodiscard]] constexpr std::uint64_t sleeps_of(std::uint32_t epoch) noexcept {
    return (std::uint64_t{epoch} + 1) / 2;
}

/// What a look at the peer's cursor found.
enum class Look : std::uint8_t {
    ready,    ///< as much as was asked for
    nothing,  ///< not yet: one has to wait
    corrupt,  ///< the peer wrote what it must not
};

template <class Atomics>
class Side {
public:
    Side() noexcept = default;
    /// `reach` is how far the peer's cursor may be beyond the own one, `lag` how far behind it: 0 and the capacity for a
    /// writer, the capacity and 0 for a reader.
    Side(Words<Atomics>& own, const Words<Atomics>& peer, std::uint32_t reach, std::uint32_t lag) noexcept
        : own_(&own),
          peer_(&peer),
          reach_(reach),
          cursor_(Atomics::load_relaxed(own.cursor)),
          seen_(cursor_ - lag),
          epoch_(Atomics::load_relaxed(own.epoch)) {}

    /// The cursor that the peer can see.
    [[nodiscard]] std::uint32_t cursor() const noexcept { return cursor_; }
    /// The last checked copy of the peer's.
    [[nodiscard]] std::uint32_t seen() const noexcept { return seen_; }

    /// Reads the peer's cursor, checks it and keeps it; false if it is impossible.
    [[nodiscard]] bool look() noexcept {
        // Pairs with the release store in the peer's store().
        const std::uint32_t now = Atomics::load_acquire(peer_->cursor);
        if (now - seen_ > cursor_ + reach_ - seen_) return false;
        seen_ = now;
        return true;
    }

    /// Lets the peer see everything before `cursor`. Sooner or later peer_sleeps() has to be asked.
    void store(std::uint32_t cursor) noexcept {
        cursor_ = cursor;
        Atomics::store_release(own_->cursor, cursor,
                               Site::publish);  // pairs with the load in the peer's look()
    }
    /// Whether the peer has to be rung for what was stored: true once for each of its sleeps.
    [[nodiscard]] bool peer_sleeps() noexcept {
        Atomics::fence(Fence::after_publish);  // pairs with after_announce in the peer
        return seems_asleep();
    }
    /// The same without the fence: a peer that is just falling asleep may be missed, one that sleeps is not.
    [[nodiscard]] bool seems_asleep() noexcept {
        const std::uint32_t epoch = Atomics::load_relaxed(peer_->epoch);
        if ((epoch & 1U) == 0 || epoch == rung_) return false;
        rung_ = epoch;
        return true;
    }

    /// Says that this side is about to sleep. The caller looks again before it does.
    void announce() noexcept {
        epoch_ += (epoch_ & 1U) == 0 ? 1 : 2;  // always a new one, so that it is rung for
        Atomics::store_relaxed(own_->epoch, epoch_, Site::announce);
        Atomics::fence(Fence::after_announce);  // pairs with after_publish in the peer
    }
    /// It is awake again. Late news of this only cost the peer a ring.
    void withdraw() noexcept {
        if ((epoch_ & 1U) == 0) return;
        ++epoch_;
        Atomics::store_relaxed(own_->epoch, epoch_, Site::withdraw);
    }
    [[nodiscard]] bool announced() const noexcept { return (epoch_ & 1U) != 0; }

    /// Another peer stands behind these words now, at the cursor seen last, or at an earlier one.
    void rebind(const Words<Atomics>& peer) noexcept { rebind(peer, seen_); }
    void rebind(const Words<Atomics>& peer, std::uint32_t seen) noexcept {
        peer_ = &peer;
        seen_ = seen;
        rung_ = 0;
    }

private:
    Words<Atomics>* own_ = nullptr;
    const Words<Atomics>* peer_ = nullptr;
    std::uint32_t reach_ = 0;
    std::uint32_t cursor_ = 0;
    std::uint32_t seen_ = 0;
    std::uint32_t epoch_ = 0;
    std::uint32_t rung_ = 0;  // the peer's epoch that was rung for last; 0 is even and never rung for
};

}  // namespace weir::ipc::ring
