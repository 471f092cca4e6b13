// SPDX-License-Identifier: MIT
//
// The writer's region holds, in this order: the writer's two words, a stand-in for the reader's, and the data. While no
// reader is attached the algorithm runs against the stand-in, whose epoch is even and whose cursor is what the last
// reader released: nobody is rung, nothing is freed. A new reader's words begin with that cursor.
//
// Whenever something happens (the cursor moved, the bell, news of the link, a new reader) the waiter's progress is asked
// for again: it looks at the state of the link first and at the memory then, so that a peer which wrote and died is
// read to the end.
#include "weir/ipc/ring/ring_end.hpp"

#include "ring/ring_wait.hpp"
#include "weir/ipc/shm/peer_memory.hpp"

#include <bit>
#include <new>

namespace weir::ipc {
namespace {

using ring::Look;
using ring::MachineAtomics;
using SharedWords = ring::Words<MachineAtomics>;

constexpr std::uint32_t ring_object = 0x474e4952;  // "RING"
constexpr std::uint32_t layout_version = 1;
constexpr std::size_t data_offset = 2 * sizeof(SharedWords);
static_assert(data_offset % cache_line == 0);

SharedWords& words_at(std::byte* memory) noexcept {
    void* const at = memory;
    return *std::launder(static_cast<SharedWords*>(at));
}
const SharedWords& words_at(const std::byte* memory) noexcept {
    const void* const at = memory;
    return *std::launder(static_cast<const SharedWords*>(at));
}

}  // namespace

LinkTerms RingShape::terms() const noexcept {
    return {.object = ring_object,
            .version = layout_version,
            .layout = layout,
            .record_size = record_size,
            .depth = units};
}

RingEnd::RingEnd(RingEnd&& other) noexcept : sleeps_(other.sleeps_), records_(other.records_) {
    WEIR_ASSERT(other.idle() && "a ring's end is moved while it is in use");
}
RingEnd& RingEnd::operator=(RingEnd&& other) noexcept {
    WEIR_ASSERT(idle() && other.idle() && "a ring's end is moved while it is in use");
    sleeps_ = other.sleeps_;
    records_ = other.records_;
    return *this;
}

template class RingWait<RingWriterEnd>;
template class RingWait<RingReaderEnd>;

// --- the writer

const LinkHooks RingWriterEnd::hooks{.on_admit = on_admit,
                                     .fill_region = fill_region,
                                     .on_attached = on_attached,
                                     .on_signal = on_signal,
                                     .fill_stat = fill_stat,
                                     .news = news};

RingWriterEnd::RingWriterEnd(RingWriterEnd&& other) noexcept
    : TellingRingEnd(static_cast<TellingRingEnd&&>(other)) {
    take_from(other);
}
RingWriterEnd& RingWriterEnd::operator=(RingWriterEnd&& other) noexcept {
    if (this == &other) return *this;
    shut();
    TellingRingEnd::operator=(static_cast<TellingRingEnd&&>(other));
    take_from(other);
    return *this;
}
void RingWriterEnd::take_from(RingWriterEnd& other) noexcept {
    other.settle();
    scheduler_ = other.scheduler_;
    machine = std::exchange(other.machine, Machine());
    server_ = std::move(other.server_);
    region_ = std::move(other.region_);
    mapping_ = std::move(other.mapping_);
    link_ = std::exchange(other.link_, nullptr);
    reader_cursor_ = std::exchange(other.reader_cursor_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    boundary_ = other.boundary_;
    of_bytes_ = other.of_bytes_;
    walks_ = std::exchange(other.walks_, false);
    attached_ = std::exchange(other.attached_, false);
    if (server_) server_.set_owner(this);
}

ring::Words<ring::MachineAtomics>& RingWriterEnd::stand_in() const noexcept {
    return words_at(mapping_.data() + sizeof(SharedWords));
}

Result<void> RingWriterEnd::create(Scheduler& scheduler, const Name& name, const RingShape& shape,
                                   const LinkServerOptions& options) noexcept {
    if (!std::has_single_bit(shape.units))
        return failure(Errc::invalid, "ring create, whose depth is no power of two", shape.units);
    if (shape.bytes() < ring::ring_bytes_min && shape.record_size == 0)
        return failure(Errc::invalid, "ring create, of less than 64 bytes", shape.bytes());
    if (shape.bytes() > ring::ring_bytes_max)
        return failure(Errc::too_large, "ring create", shape.bytes(), ring::ring_bytes_max);
    WEIR_TRY(region_, Region::create(data_offset + static_cast<std::size_t>(shape.bytes()), "weir-ring"));
    WEIR_TRY(mapping_, region_.map_writable());
    if (const auto sealed = region_.seal(); !sealed) return failure(sealed.error());
    auto* const own = ::new (static_cast<void*>(mapping_.data())) SharedWords();
    auto* const nobody = ::new (static_cast<void*>(mapping_.data() + sizeof(SharedWords))) SharedWords();
    data_ = mapping_.data() + data_offset;
    scheduler_ = &scheduler;
    of_bytes_ = shape.record_size == 0;
    machine = Machine(*own, *nobody, data_, shape.units);
    WEIR_TRY(server_, LinkServer::create(scheduler, name, shape.terms(), hooks, this, options));
    server_.expect_clients(1);
    return {};
}

void RingWriterEnd::shut() noexcept {
    WEIR_ASSERT(idle() && "a ring's writer is closed while it is in use");
    settle();
    server_.close();
    link_ = nullptr;
    attached_ = walks_ = false;
    machine = Machine();
    mapping_.unmap();
    region_.close();
}

RingProgress RingWriterEnd::progress(std::uint32_t units, std::optional<Errc>& error) noexcept {
    if (!open()) {
        error = Errc::closed;
        return RingProgress::failed;
    }
    switch (checked(machine.need(units))) {
        case Look::ready: return RingProgress::ready;
        case Look::nothing:
            if (!reader_died_) return RingProgress::waiting;
            error = Errc::peer_lost;
            return RingProgress::failed;
        case Look::corrupt: break;
    }
    // The records are sound and wait for another reader; this one is turned out.
    error = Errc::corrupt;
    link_->turn_out(LinkViolation::memory);
    forget(*link_);
    return RingProgress::failed;
}

RingProgress RingWriterEnd::sleep(std::uint32_t units, std::optional<Errc>& error) noexcept {
    ++sleeps_;
    switch (checked(machine.announce(units))) {
        case Look::ready: return RingProgress::ready;
        case Look::nothing: break;
        case Look::corrupt: return progress(units, error);
    }
    // Without a reader, or when this one goes, news of the link ends the wait.
    if (attached_) link_->arm_bell();
    return RingProgress::waiting;
}

// A cursor in the middle of a record is one that its reader can have only by breaking the rules, and what it breaks is
// the next reader's ring. The headers are our own: nobody else can write to them.
Look RingWriterEnd::checked(Look found) noexcept {
    if (!walks_ || found == Look::corrupt) return found;
    const std::uint32_t released = machine.seen();
    while (boundary_ != released) {
        const std::uint32_t span = machine.span_at(boundary_);
        if (span > released - boundary_) {
            machine.rebind(words_at(link_->peer().data()), boundary_);  // nothing of what it said counts
            return Look::corrupt;
        }
        boundary_ += span;
    }
    return found;
}

Result<LinkGrant> RingWriterEnd::on_admit(void* owner, Link& link) noexcept {
    auto& self = *static_cast<RingWriterEnd*>(owner);
    if (self.link_ != nullptr) {
        const pid_t holder = self.link_->credentials().pid;
        return failure(Errc::in_use, "ring open", static_cast<std::uint64_t>(holder > 0 ? holder : 0));
    }
    self.link_ = &link;
    return LinkGrant{.region = &self.region_,
                     .own = {self.mapping_.data(), self.mapping_.size()},
                     .client_size = sizeof(SharedWords)};
}

void RingWriterEnd::fill_region(void* owner, Link&, Bytes region) noexcept {
    const auto& self = *static_cast<RingWriterEnd*>(owner);
    auto* const words = ::new (static_cast<void*>(region.data())) SharedWords();
    words->cursor.store(self.stand_in().cursor.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void RingWriterEnd::on_attached(void* owner, Link& link) noexcept {
    auto& self = *static_cast<RingWriterEnd*>(owner);
    const SharedWords& words = words_at(link.peer().data());
    self.reader_cursor_ = &words.cursor;
    self.attached_ = true;
    self.machine.rebind(words);
    self.walks_ = self.of_bytes_ && !link.trusted();
    self.boundary_ = self.machine.seen();
    link.ring_bell();
    if (self.waiter_ != nullptr) self.waiter_->look_again();
}

void RingWriterEnd::on_signal(void* owner, Link& link) noexcept {
    auto& self = *static_cast<RingWriterEnd*>(owner);
    const LinkState state = link.state();
    if (state != LinkState::attached) self.forget(link);
    RingWaiter* const waiter = self.waiter_;
    if (waiter == nullptr) return;
    if (waiter->drains() && state == LinkState::lost) self.reader_died_ = true;
    waiter->look_again();
    self.reader_died_ = false;
}

std::uint32_t RingWriterEnd::news(void* owner, const Link&) noexcept {
    return static_cast<RingWriterEnd*>(owner)->machine.seen();
}

void RingWriterEnd::forget(Link& link) noexcept {
    if (link_ != &link) return;
    if (attached_) {
        if (checked(machine.look(1)) == Look::corrupt) link.turn_out(LinkViolation::memory);
        stand_in().cursor.store(machine.seen(), std::memory_order_relaxed);
        machine.rebind(stand_in());
    }
    attached_ = walks_ = false;
    link_ = nullptr;
    link.close();
}

void RingWriterEnd::fill_stat(void* owner, LinkStat& stat) noexcept {
    auto& self = *static_cast<RingWriterEnd*>(owner);
    std::ignore = self.checked(self.machine.look(1));  // what is impossible is left for the next wait to find
    const std::uint32_t fill = self.machine.capacity() - self.machine.known();
    stat.region_bytes = self.mapping_.size();
    stat.records = self.records_;
    stat.bytes = self.records_ * stat.record_size;
    stat.sleeps = self.sleeps_;
    stat.fill = fill;
    if (!self.attached_ || stat.peers == 0) return;
    stat.peer[0].fill = fill;
    const SharedWords& words = words_at(self.link_->peer().data());
    stat.peer[0].sleeps = ring::sleeps_of(words.epoch.load(std::memory_order_relaxed));
}

// --- the reader

const LinkHooks RingReaderEnd::hooks{.on_signal = on_signal};

RingReaderEnd::RingReaderEnd(RingReaderEnd&& other) noexcept
    : TellingRingEnd(static_cast<TellingRingEnd&&>(other)) {
    take_from(other);
}
RingReaderEnd& RingReaderEnd::operator=(RingReaderEnd&& other) noexcept {
    if (this == &other) return *this;
    shut();
    TellingRingEnd::operator=(static_cast<TellingRingEnd&&>(other));
    take_from(other);
    return *this;
}
void RingReaderEnd::take_from(RingReaderEnd& other) noexcept {
    other.settle();
    scheduler_ = other.scheduler_;
    machine = std::exchange(other.machine, Machine());
    link_ = std::move(other.link_);
    writer_cursor_ = std::exchange(other.writer_cursor_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    copy_ = std::move(other.copy_);
    copies_ = std::exchange(other.copies_, false);
    believed_ = std::exchange(other.believed_, false);
    if (link_) link_.set_owner(hooks, this);
}

Result<void> RingReaderEnd::attach(LinkClient client, std::uint32_t unit_bytes) noexcept {
    const std::uint64_t units = client->terms().depth;
    const std::uint64_t expected = data_offset + units * unit_bytes;
    if (units > ring::ring_bytes_max || !std::has_single_bit(units) || client->peer().size() != expected)
        return failure(Errc::mismatch, "ring open, its memory", expected, client->peer().size());
    if (client->own().size() != sizeof(SharedWords))
        return failure(Errc::mismatch, "ring open, the reader's memory", sizeof(SharedWords),
                       client->own().size());
    link_ = std::move(client);
    copies_ = !link_->trusted();
    // For one record, or as many as there are in a page; of bytes not before it is needed.
    if (unit_bytes > 1) {
        const auto made = make_copy_room(unit_bytes);
        if (!made) return failure(made.error());
    }
    scheduler_ = &link_->scheduler();
    data_ = link_->peer().data() + data_offset;
    writer_cursor_ = &words_at(link_->peer().data()).cursor;
    machine = Machine(words_at(link_->own().data()), words_at(link_->peer().data()), data_,
                      static_cast<std::uint32_t>(units));
    link_.set_owner(hooks, this);
    believed_ = true;
    link_->ring_bell();
    return {};
}

void RingReaderEnd::shut() noexcept {
    WEIR_ASSERT(idle() && "a ring's reader is closed while it is in use");
    settle();
    machine = Machine();
    data_ = nullptr;
    believed_ = false;
    copy_.unmap();
    link_.close();
}

Result<void> RingReaderEnd::make_copy_room(std::size_t size) noexcept {
    if (!copies_ || copy_.size() >= size) return {};
    WEIR_TRY(copy_, private_memory(size));
    return {};
}

const std::byte* RingReaderEnd::copied(std::size_t offset, std::size_t size) const noexcept {
    WEIR_ASSERT(size <= copy_.size());
    copy_from_peer(copy_.data(), data_ + offset, size);
    return copy_.data();
}

RingProgress RingReaderEnd::progress(std::uint32_t units, std::optional<Errc>& error) noexcept {
    const auto fail_with = [&](Errc code) {
        error = code;
        return RingProgress::failed;
    };
    if (!open()) return fail_with(Errc::closed);
    // Before the look: what the writer stored before it went can then be seen.
    const LinkState state = link_->state();
    if (!believed_ || machine.need(units) == Look::corrupt) {
        set_broken();
        return fail_with(Errc::corrupt);
    }
    if (machine.known() >= units) return RingProgress::ready;
    if (state == LinkState::ended) return fail_with(Errc::ended);
    if (state == LinkState::lost) return fail_with(Errc::peer_lost);
    return RingProgress::waiting;
}

RingProgress RingReaderEnd::sleep(std::uint32_t units, std::optional<Errc>& error) noexcept {
    ++sleeps_;
    switch (machine.announce(units)) {
        case Look::ready: return RingProgress::ready;
        case Look::nothing: break;
        case Look::corrupt: return progress(units, error);
    }
    link_->arm_bell();
    return progress(units, error);
}

void RingReaderEnd::on_signal(void* owner, Link&) noexcept {
    auto& self = *static_cast<RingReaderEnd*>(owner);
    if (self.waiter_ != nullptr) self.waiter_->look_again();
}

}  // namespace weir::ipc
