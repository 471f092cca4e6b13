// SPDX-License-Identifier: MIT
//
// Producer and consumer: who may write where, who may read where.
//
// A Producer has a private position at or beyond its cursor: what lies between is finished but not yet committed, so
// that a batch of records is one store. A Consumer has one too: what lies between its cursor and its position was
// read and is not yet released. Both tell how much there is, look at the peer only when that is not enough, and
// announce sleep when it still is not.
//
// What is counted is said above: slots of one size in ring.hpp, bytes in records.hpp.
#pragma once

#include "weir/ipc/ring/words.hpp"

namespace weir::ipc::ring {

/// What both ends do alike. `writes` says which of them it is.
template <class Atomics, bool writes>
class End {
public:
    End() noexcept = default;
    /// `own` was begun by an earlier holder or is all zero; both outlive this. `capacity` is a power of two.
    End(Words<Atomics>& own, const Words<Atomics>& peer, std::uint32_t capacity) noexcept
        : side_(own, peer, writes ? 0 : capacity, writes ? capacity : 0),
          capacity_(capacity),
          position_(side_.cursor()) {}

    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    /// Where the next record begins. Free-running; masked by capacity - 1 it is the place.
    [[nodiscard]] std::uint32_t position() const noexcept { return position_; }
    [[nodiscard]] std::uint32_t offset() const noexcept { return position_ & (capacity_ - 1); }
    /// From offset() to the end of the data.
    [[nodiscard]] std::uint32_t to_end() const noexcept { return capacity_ - offset(); }
    /// How much it may use, as far as it knows: space to fill, or items to read.
    [[nodiscard]] std::uint32_t known() const noexcept {
        return writes ? capacity_ - (position_ - side_.seen()) : side_.seen() - position_;
    }
    /// Whether `units` are there, after a look at the peer if they are not known to be.
    [[nodiscard]] Look need(std::uint32_t units) noexcept {
        if (known() >= units) [[likely]]
            return Look::ready;
        return look(units);
    }
    /// Looks in any case.
    [[nodiscard]] Look look(std::uint32_t units) noexcept {
        if (!side_.look()) return Look::corrupt;
        return known() >= units ? Look::ready : Look::nothing;
    }

    /// Moves on; the peer learns of it with publish_lightly().
    void advance(std::uint32_t units) noexcept { position_ += units; }
    /// Something was finished of which the peer does not know.
    [[nodiscard]] bool deferred() const noexcept { return position_ != side_.cursor(); }
    /// Tells the peer of all that was finished, without a fence; true if it has to be rung. That it need not is sure only
    /// after peer_sleeps(), which must be asked before this side sleeps.
    [[nodiscard]] bool publish_lightly() noexcept {
        side_.store(position_);
        return side_.seems_asleep();
    }
    /// Behind a fence: true if the peer has to be rung for what it was told.
    [[nodiscard]] bool peer_sleeps() noexcept { return side_.peer_sleeps(); }

    /// Announces sleep, unless `units` are there by then. With `nothing` it is safe to wait for the bell: everything
    /// deferred was published before.
    [[nodiscard]] Look announce(std::uint32_t units) noexcept {
        side_.announce();
        const Look found = look(units);
        if (found != Look::nothing) side_.withdraw();
        return found;
    }
    void awake() noexcept { side_.withdraw(); }
    [[nodiscard]] bool announced() const noexcept { return side_.announced(); }

    /// The peer's cursor as it was last seen and checked.
    [[nodiscard]] std::uint32_t seen() const noexcept { return side_.seen(); }
    [[nodiscard]] std::uint32_t cursor() const noexcept { return side_.cursor(); }
    /// A new peer took the old one's place, with its cursor at seen().
    void rebind(const Words<Atomics>& peer) noexcept { side_.rebind(peer); }
    /// The same peer or another one, of which nothing is believed that was seen beyond `seen`.
    void rebind(const Words<Atomics>& peer, std::uint32_t seen) noexcept { side_.rebind(peer, seen); }

private:
    Side<Atomics> side_;
    std::uint32_t capacity_ = 0;
    std::uint32_t position_ = 0;
};

template <class Atomics>
using Producer = End<Atomics, true>;
template <class Atomics>
using Consumer = End<Atomics, false>;

}  // namespace weir::ipc::ring
