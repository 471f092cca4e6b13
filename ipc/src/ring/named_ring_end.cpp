// SPDX-License-Identifier: MIT
//
// The bell is a FIFO: its hearer has the reading end, and each ringer holds both. While a ringer lives, an empty bell
// says EAGAIN; when the last one has died it has an end (read(2) gives 0, poll(2) a hang-up), which is the news that its
// side may have stored something and not rung. From then on the hearer holds a writing end itself, until the next
// ringer has been heard, which rings once when it has opened the bell.
//
// It is waited for with a poll and emptied by hand: a read in the kernel's queue of an end that was closed could swallow
// the ring for the next holder of this side.
#include "weir/ipc/ring/named_ring_end.hpp"

#include "ring/ring_wait.hpp"
#include "sys/calls.hpp"

#include <array>
#include <cerrno>

namespace weir::ipc {

using ring::Look;

template <class Side>
const LinkKind NamedRingEnd<Side>::kind{
    .on_event = [](LinkSlot& slot, unsigned, long) noexcept { slot.state<Seat>().owner->on_bell(); },
    .on_timer = nullptr,
    .on_free = nullptr,
};

template <class Side>
NamedRingEnd<Side>::NamedRingEnd(NamedRingEnd&& other) noexcept : Base(static_cast<Base&&>(other)) {
    take_from(other);
}
template <class Side>
NamedRingEnd<Side>& NamedRingEnd<Side>::operator=(NamedRingEnd&& other) noexcept {
    if (this == &other) return *this;
    shut();
    Base::operator=(static_cast<Base&&>(other));
    take_from(other);
    return *this;
}
template <class Side>
void NamedRingEnd<Side>::take_from(NamedRingEnd& other) noexcept {
    other.settle();
    machine = std::exchange(other.machine, Machine());
    file_ = std::move(other.file_);
    slot_ = std::exchange(other.slot_, nullptr);
    held_bell_ = std::move(other.held_bell_);
    peer_cursor_ = std::exchange(other.peer_cursor_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    broken_ = std::exchange(other.broken_, false);
    if (slot_ != nullptr) slot_->state<Seat>().owner = this;
}

template <class Side>
Result<void> NamedRingEnd<Side>::attach(Scheduler& scheduler, const Name& name, const RingShape& shape,
                                        const NamedRingAccess& access) noexcept {
    const auto started = scheduler.start();
    if (!started) return failure(started.error());
    WEIR_TRY(file_, NamedRingFile::open(name, shape, side, access));
    machine = Machine(file_.own(), file_.peer(), file_.data(), file_.units());
    if (machine.look(0) == Look::corrupt) {
        shut();
        return failure(Errc::corrupt, "named ring open, its cursors");
    }
    LinkTable& table = scheduler.links();
    LinkSlot* const slot = table.take(kind);
    if (slot == nullptr) {
        shut();
        return failure(Errc::no_link, "named ring open", 0, table.capacity());
    }
    slot_ = slot;
    slot->make<Seat>(Seat{.owner = this});
    slot->set_fd(0, file_.take_bell());
    data_ = file_.data();
    peer_cursor_ = &file_.peer().cursor;
    // Our predecessor may have died between its store and its ring; and the peer learns that somebody is here.
    ring();
    return {};
}

template <class Side>
void NamedRingEnd<Side>::shut() noexcept {
    WEIR_ASSERT(this->idle() && "a named ring's end is closed while it is in use");
    if (open()) this->settle();
    if (slot_ != nullptr) std::exchange(slot_, nullptr)->close();
    machine = Machine();
    data_ = nullptr;
    held_bell_.close();
    file_.close();
}

template <class Side>
RingProgress NamedRingEnd<Side>::progress(std::uint32_t units, std::optional<Errc>& error) noexcept {
    if (!open()) {
        error = Errc::closed;
        return RingProgress::failed;
    }
    if (broken_ || machine.need(units) == Look::corrupt) {
        broken_ = true;
        error = Errc::corrupt;
        return RingProgress::failed;
    }
    return machine.known() >= units ? RingProgress::ready : RingProgress::waiting;
}

// Emptied before the announcement: whatever rings for that comes later.
template <class Side>
RingProgress NamedRingEnd<Side>::sleep(std::uint32_t units, std::optional<Errc>& error) noexcept {
    ++this->sleeps_;
    const auto emptied = empty_bell();
    if (!emptied) {
        error = emptied.error().code;
        return RingProgress::failed;
    }
    if (machine.announce(units) == Look::nothing && !slot_->watching(0)) {
        const long watched = slot_->watch_readable(0);
        if (watched < 0) {
            error = Error::from_errno(waiting_for, static_cast<int>(-watched)).code;
            return RingProgress::failed;
        }
    }
    return progress(units, error);
}

template <class Side>
Result<void> NamedRingEnd<Side>::empty_bell() noexcept {
    std::array<std::byte, 64> rings;
    for (;;) {
        const long got = sys::read(slot_->fd(0), rings.data(), rings.size());
        if (got > 0) {
            held_bell_.close();
        } else if (got == 0 && !held_bell_) {
            WEIR_TRY(held_bell_, file_.hold_bell());
        } else if (got == -EAGAIN) {
            return {};
        } else {
            return failure(got == 0 ? Errc::corrupt : Error::from_errno("", static_cast<int>(-got)).code,
                           "named ring, its bell");
        }
    }
}

// Whatever is wrong with the bell is found when it is waited for next.
template <class Side>
void NamedRingEnd<Side>::on_bell() noexcept {
    if (this->waiter_ != nullptr) this->waiter_->look_again();
}

template class NamedRingEnd<ring::RecordProducer<ring::MachineAtomics>>;
template class NamedRingEnd<ring::RecordConsumer<ring::MachineAtomics>>;
template class RingWait<NamedRingWriterEnd>;
template class RingWait<NamedRingReaderEnd>;

}  // namespace weir::ipc
