// SPDX-License-Identifier: MIT
//
// Bells that are packets come through the socket. They are told of when it has been read empty; one that came before the
// bell was armed is kept for then. The slot's timer, which only a handshake needs otherwise, makes up for a ring that was
// withheld, and tells of one that was kept.
//
// A packet wakes this process whether it likes to or not, so who sends them must not decide how often that is. Rings that
// bring news, which the owner knows, cost less than what they are for. For those in vain there is a little patience; then
// the socket is not watched but looked at by the timer, once a millisecond, all such links in the same moment. So it is
// where a look finds more than a few packets, since who rings for news rings once for each of our sleeps: they are read a
// few at a time, and who goes on so is turned out.
#include "shm/link_end.hpp"
#include "sys/calls.hpp"

#include <algorithm>
#include <cerrno>
#include <time.h>
#include <unistd.h>
#include <utility>

namespace weir::ipc {
namespace {

using namespace std::chrono_literals;

constexpr Duration ring_pause = 1ms;  // before a ring that was withheld is made up for
constexpr Duration ring_long = 20us;
constexpr Duration ring_share = 5us;  // of our time, for each token that a ring takes
constexpr std::uint8_t credit_max = 64;
constexpr Duration rest_span = 1ms;

// Of our thread alone: who is woken may run in its place before the send returns.
Duration processor_time() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

}  // namespace

// What does not fit in the socket is a ring behind many that the peer has not heard yet.
void LinkEnd::ring_by_packet(Link& link) noexcept {
    if (link.state_ != LinkState::attached || link.withheld_) return;
    LinkSlot& slot = *link.slot_;
    const Instant now = slot.scheduler().now();
    if (link.rings_.take(now)) {
        const Duration before = link.dear_ ? processor_time() : Duration::zero();
        const long sent = sys::send(slot.fd(socket_watch), &ring_packet, sizeof(ring_packet));
        if (!link.trusted_) charge_for_ring(link, now, before);
        if (sent != -ENOBUFS && sent != -ENOMEM) {
            ++link.bells_rung_;
            return;
        }
    }
    link.withheld_ = true;
    if (!slot.timer_armed()) slot.arm_timer(ring_pause);
}

// A filter or thousands of pollers at the peer's socket make a send to it take milliseconds of our time. Those cost a
// system call to find out, so it is done only after one took long, which may have been another process's turn.
void LinkEnd::charge_for_ring(Link& link, Instant began, Duration before) noexcept {
    const Instant now = link.slot_->scheduler().now();
    if (link.dear_) link.rings_.take_more(now, std::min(now - began, processor_time() - before) / ring_share);
    if (now - began >= ring_long) link.dear_ = true;
}

bool LinkEnd::heard_by_packet(Link& link) noexcept {
    if (std::exchange(link.armed_, false)) {
        ++link.bells_heard_;
        signal(link);
        if (link.slot_->closing() || link.state_ != LinkState::attached) return true;
    } else {
        link.heard_early_ = true;
    }
    void* owner = nullptr;
    const LinkHooks* const hooks = hooks_of(link, owner);
    if (hooks == nullptr || hooks->news == nullptr) return true;
    const std::uint32_t news = hooks->news(owner, link);
    if (news != std::exchange(link.news_, news)) {
        // As many again may be in vain: of those that cross with a look of ours that finds the news first.
        link.credit_ = std::min<std::uint8_t>(credit_max, static_cast<std::uint8_t>(link.credit_ + 2));
        return true;
    }
    if (link.credit_ > 0) {
        --link.credit_;
        return true;
    }
    return link.vain_.take(link.slot_->scheduler().now());
}

void LinkEnd::attached_timer(Link& link) noexcept {
    LinkSlot& slot = *link.slot_;
    if (std::exchange(link.withheld_, false)) ring_by_packet(link);
    if (link.armed_ && std::exchange(link.heard_early_, false)) {
        link.armed_ = false;
        ++link.bells_heard_;
        signal(link);
        if (slot.closing() || link.state_ != LinkState::attached) return;
    }
    if (!link.resting_) return;
    const Instant now = slot.scheduler().now();
    if (now < link.look_at_) {
        if (!slot.timer_armed()) slot.arm_timer(link.look_at_ - now);
        return;
    }
    read_packets(link);
}

void Link::ring_bell() noexcept {
    if (bell_ == BellKind::packet) return LinkEnd::ring_by_packet(*this);
    if (bell_out_ < 0) return;
    ++bells_rung_;
    const std::uint64_t one = 1;
    // It can fail only when it was rung 2^64 - 2 times without being heard.
    [[maybe_unused]] const auto written = ::write(bell_out_, &one, sizeof(one));
}

void Link::arm_bell() noexcept {
    if (state_ != LinkState::attached || bell_armed()) return;
    if (bell_ == BellKind::packet) {
        armed_ = true;
        if (heard_early_) slot_->arm_timer(Duration::zero());
        return;
    }
    if (slot_->watch_counter(bell_watch) < 0) LinkEnd::lose(*this, LinkState::lost);
}

bool Link::bell_armed() const noexcept {
    return armed_ || slot_->watching(bell_watch);
}

// At the next full millisecond, so that all that rest are looked at together.
void LinkEnd::rest(Link& link) noexcept {
    const Instant now = link.slot_->scheduler().now();
    link.resting_ = true;
    link.look_at_ = after(now, rest_span - Duration(to_ns(now) % rest_span.count()));
    if (!link.slot_->timer_armed()) link.slot_->arm_timer(link.look_at_ - now);
}

}  // namespace weir::ipc
