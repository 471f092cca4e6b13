// SPDX-License-Identifier: MIT
//
// Whatever the publisher's memory says is copied before it is checked, and only the copy is used: the facts once when
// it attaches, and with them our place, in memory that the publisher made for us and may still write to; then cursor,
// numbers, slots and the verdict, each a single load.
//
// A publisher that is turned out, or gone as soon as it has come, decides how often we attach to it: so there is a pause
// before the next time.
//
// Reopening is an await inside of the wait for the next sample: its completion is an item of our own, which goes on with
// that wait. A stop reaches both; the wait ends when the inner one has.
#include "weir/ipc/topic/subscriber_end.hpp"

#include "weir/ipc/shm/peer_memory.hpp"

#include <algorithm>
#include <cstddef>

namespace weir::ipc {
namespace {

using topic::Found;
using topic::MachineAtomics;
using topic::SubscriberRegion;
using PublisherWords = topic::PublisherWords<MachineAtomics>;
using Entry = topic::Entry<MachineAtomics>;

using namespace std::chrono_literals;

constexpr Duration lasting = 1s;  // a link that lived so long is not followed by a pause
constexpr Duration pause_first = 1ms;
constexpr Duration pause_max = 100ms;
constexpr Duration pause_violated = 1s;

// Watched while there is no publisher.
const Watch::Word no_word{0};

template <class T>
const T& at(ConstBytes region, std::uint64_t offset) noexcept {
    const void* const place = region.data() + offset;
    return *std::launder(static_cast<const T*>(place));
}
template <class T>
std::byte* bytes_of(T& value) noexcept {
    void* const place = &value;
    return static_cast<std::byte*>(place);
}

}  // namespace

const LinkHooks SubscriberEnd::hooks{.on_signal = on_signal};

SubscriberEnd::SubscriberEnd(SubscriberEnd&& other) noexcept : PeerTeller() {
    take_from(other);
}
SubscriberEnd& SubscriberEnd::operator=(SubscriberEnd&& other) noexcept {
    if (this == &other) return *this;
    shut();
    take_from(other);
    return *this;
}
void SubscriberEnd::take_from(SubscriberEnd& other) noexcept {
    WEIR_ASSERT(other.waiter_ == nullptr && !other.holds_some() &&
                "a subscriber is moved while it is in use");
    other.settle();
    reader_ = std::exchange(other.reader_, {});
    free_pins_ = std::exchange(other.free_pins_, 0);
    all_pins_ = std::exchange(other.all_pins_, 0);
    fresh_ = other.fresh_;
    restarted_ = other.restarted_;
    over_ = std::exchange(other.over_, std::nullopt);
    slots_ = std::exchange(other.slots_, nullptr);
    facts_ = other.facts_;
    shape_ = other.shape_;
    place_ = other.place_;
    sleeper_ = std::exchange(other.sleeper_, {});
    publisher_ = std::exchange(other.publisher_, {});
    scheduler_ = other.scheduler_;
    link_ = std::move(other.link_);
    copies_ = std::move(other.copies_);
    options_ = other.options_;
    again_.reset();
    if (other.again_) again_.emplace(*other.again_);
    other.again_.reset();
    not_reopened_ = std::exchange(other.not_reopened_, std::nullopt);
    attached_at_ = other.attached_at_;
    reopens_at_ = other.reopens_at_;
    pause_ = other.pause_;
    restarts_ = other.restarts_;
    sleeps_ = other.sleeps_;
    if (link_) link_.set_owner(hooks, this);
}

Result<void> SubscriberEnd::attach(LinkClient client, const topic::SampleShape& shape,
                                   const SubscriberOptions& options, const OpenLink& again) noexcept {
    shape_ = shape;
    options_ = options;
    options_.link = {};
    again_.emplace(again);
    return attach_to(std::move(client), options.history);
}

Result<void> SubscriberEnd::attach_to(LinkClient client, std::uint32_t history) noexcept {
    const ConstBytes region = client->peer();
    constexpr const char* wrong = "topic open, its memory";
    topic::TopicFacts facts{};
    if (region.size() < sizeof(facts)) return failure(Errc::mismatch, wrong, sizeof(facts), region.size());
    copy_from_peer(bytes_of(facts), region.data(), sizeof(facts));
    const auto layout = topic::TopicLayout::of(facts);
    if (!layout || layout->size != region.size())
        return failure(Errc::mismatch, wrong, layout ? layout->size : 0, region.size());
    if (facts.slot_bytes != shape_.stride())
        return failure(Errc::mismatch, wrong, shape_.stride(), facts.slot_bytes);
    const Bytes own = client->own();
    if (own.size() != sizeof(SubscriberRegion))
        return failure(Errc::mismatch, "topic open, the subscriber's memory", sizeof(SubscriberRegion),
                       own.size());
    void* const memory = own.data();
    SubscriberRegion& ours = *std::launder(static_cast<SubscriberRegion*>(memory));
    topic::TopicPlace place{};
    copy_from_peer(bytes_of(place), own.data() + offsetof(SubscriberRegion, place), sizeof(place));
    if (place.index >= facts.subscribers || place.floor > place.head)
        return failure(Errc::mismatch, "topic open, its place", facts.subscribers, place.index);
    copies_.unmap();
    if (!client->trusted()) {
        WEIR_TRY(copies_, private_memory(std::size_t{facts.pins} * facts.slot_bytes));
    }

    facts_ = facts;
    place_ = place;
    slots_ = region.data() + layout->slots;
    const auto& publisher = at<PublisherWords>(region, topic::TopicLayout::words);
    const bool overwritten = facts.policy == TopicPolicy::overwrite_oldest;
    const std::uint32_t keep =
        overwritten && options_.depth > 0 ? std::min(options_.depth, facts.depth) : facts.depth;
    reader_ = topic::Reader<MachineAtomics>(ours.words, publisher, &at<Entry>(region, layout->entries),
                                            {.depth = facts.depth, .slots = facts.slots, .keep = keep});
    reader_.begin(place_.floor, place_.head, history);
    sleeper_ = topic::Sleeper<MachineAtomics>(ours.words.epoch);
    publisher_ = topic::Waker<MachineAtomics>(publisher.epoch);
    all_pins_ = (1U << facts.pins) - 1;
    free_pins_ = all_pins_;
    staged_ = false;
    fresh_ = true;
    link_ = std::move(client);
    scheduler_ = &link_->scheduler();
    attached_at_ = scheduler_->now();
    link_.set_owner(hooks, this);
    // A publisher that waits for this position to be known may sleep already.
    if (facts.policy == TopicPolicy::wait_for_slowest) PeerTeller::publish();
    return {};
}

void SubscriberEnd::leave() noexcept {
    settle();
    sleeper_ = {};
    publisher_ = {};
    reader_ = {};
    slots_ = nullptr;
    free_pins_ = 0;
    all_pins_ = 0;
    link_.close();
}

void SubscriberEnd::leave_if_unused() noexcept {
    if (link_ && !holds_some()) leave();
}

void SubscriberEnd::shut() noexcept {
    WEIR_ASSERT(waiter_ == nullptr && !holds_some() && "a subscriber is closed while it is in use");
    leave();
    copies_.unmap();
    over_.reset();
    again_.reset();
    not_reopened_.reset();
}

// --- samples

bool SubscriberEnd::broke() noexcept {
    over_ = Errc::corrupt;
    link_->turn_out(LinkViolation::memory);
    return false;
}

bool SubscriberEnd::stage_with_care() noexcept {
    const bool overwritten = facts_.policy == TopicPolicy::overwrite_oldest;
    if (!overwritten && taken_.missed != 0) {
        over_ = verdict();
        // Loans that were out when we came may take the place of history that we saw there; it was not promised.
        if (!over_ && fresh_) {
            taken_.missed = 0;
        } else {
            reader_.release(taken_.pin);
            const Errc slow = facts_.policy == TopicPolicy::drop_subscriber ? Errc::overflow : Errc::corrupt;
            over_ = over_.value_or(slow);
            return false;
        }
    }
    fresh_ = false;
    if (!in_place() && !copy_out()) return false;
    if (facts_.policy == TopicPolicy::wait_for_slowest) PeerTeller::publish();
    free_pins_ &= ~(1U << taken_.pin);
    return staged_ = true;
}

bool SubscriberEnd::copy_out() noexcept {
    const std::byte* const from = slots_ + std::size_t{taken_.slot} * facts_.slot_bytes;
    std::byte* const copy = copies_.data() + std::size_t{taken_.pin} * facts_.slot_bytes;
    copy_from_peer(copy, from, static_cast<std::size_t>(shape_.size));
    reader_.release(taken_.pin);
    // Who was dropped meanwhile may have had its pin disregarded: what it copied may be of two samples.
    std::atomic_thread_fence(std::memory_order_acquire);
    over_ = verdict();
    if (over_) return false;
    return shape_.valid == nullptr || shape_.valid(copy) || broke();
}

std::optional<Errc> SubscriberEnd::stage_newest() noexcept {
    if (waiter_ != nullptr || (free_pins_ == 0 && link_)) return Errc::busy;
    if (over_) return over_;
    if (!link_) return Errc::closed;
    const auto pin = static_cast<std::uint32_t>(std::countr_zero(free_pins_));
    switch (reader_.take_newest(pin, taken_)) {
        case Found::sample: break;
        case Found::nothing: return Errc::would_block;
        case Found::corrupt: std::ignore = broke(); return over_;
    }
    if (!in_place() && !copy_out()) return over_;
    if (facts_.policy == TopicPolicy::wait_for_slowest) PeerTeller::publish();
    free_pins_ &= ~(1U << pin);
    fresh_ = false;
    staged_ = true;
    return std::nullopt;
}

Errc SubscriberEnd::why_not() const noexcept {
    if (over_) return *over_;
    if (!link_ && !again_) return Errc::closed;
    return link_ && free_pins_ == 0 ? Errc::busy : Errc::would_block;
}

std::optional<Errc> SubscriberEnd::verdict() const noexcept {
    const auto& first = at<MachineAtomics::Word>(link_->peer(), topic::TopicLayout::verdicts);
    // Pairs with the store before anything that we have not read is overwritten.
    const std::uint32_t word = MachineAtomics::load_acquire(*(&first + place_.index));
    switch (word - place_.generation * 4) {
        case static_cast<std::uint32_t>(topic::Verdict::none): return std::nullopt;
        case static_cast<std::uint32_t>(topic::Verdict::corrupt): return Errc::corrupt;
        default: return Errc::overflow;  // perhaps our place is another one's already
    }
}

// --- waiting for the next one

TopicProgress SubscriberEnd::progress(std::optional<Error>& error) noexcept {
    const auto fail_with = [&](Errc code) {
        error = Error{.code = code, .operation = waiting_for};
        return TopicProgress::failed;
    };
    if (opening_) return TopicProgress::waiting;
    if (!link_ && !over_) {
        if (!again_) return fail_with(Errc::closed);
        return reopen(error);
    }
    if (!over_) {
        if (free_pins_ == 0 && !staged_) return fail_with(Errc::busy);
        // Before the look: what the publisher stored before it went can then be seen.
        const LinkState state = link_->state();
        if (ready()) return TopicProgress::ready;
        if (!over_) over_ = verdict();
        if (!over_) {
            if (state == LinkState::attached) return TopicProgress::waiting;
            if (options_.successor == Successor::await) return reopen(error);
            return fail_with(state == LinkState::ended ? Errc::ended : Errc::peer_lost);
        }
    }
    leave_if_unused();
    return fail_with(*over_);
}

TopicProgress SubscriberEnd::sleep(std::optional<Error>& error) noexcept {
    if (opening_ || alarm_.armed()) return TopicProgress::waiting;
    ++sleeps_;
    sleeper_.announce();
    // Afresh: what the publisher did before this look is seen, and what it does after it sees the announcement.
    std::ignore = reader_.look();
    const TopicProgress progressed = progress(error);
    if (progressed == TopicProgress::waiting && link_) link_->arm_bell();
    return progressed;
}

const Watch::Word& SubscriberEnd::watched() const noexcept {
    if (!link_) return no_word;
    return at<PublisherWords>(link_->peer(), topic::TopicLayout::words).cursor;
}

std::uint32_t SubscriberEnd::seen() const noexcept {
    if (!link_) return 0;
    const auto head = static_cast<std::uint32_t>(reader_.head());
    // Who was overtaken again and again looks again in any case.
    return reader_.knows_more() ? head - 1 : head;
}

void SubscriberEnd::on_signal(void* owner, Link&) noexcept {
    auto& self = *static_cast<SubscriberEnd*>(owner);
    if (self.waiter_ != nullptr) self.waiter_->look_again();
}

// --- a successor

void SubscriberEnd::pause_after_loss() noexcept {
    const Instant now = scheduler_->now();
    if (link_->violation() != LinkViolation::none) {
        pause_ = pause_violated;
    } else if (now - attached_at_ >= lasting) {
        pause_ = {};
    } else {
        pause_ = std::clamp(pause_ * 2, pause_first, pause_max);
    }
    reopens_at_ = after(now, pause_);
}

void SubscriberEnd::pause_ended(Timer& timer) noexcept {
    static_cast<Alarm&>(timer).owner.waiter_->look_again();
}

TopicProgress SubscriberEnd::reopen(std::optional<Error>& error) noexcept {
    if (not_reopened_) {
        error = std::exchange(not_reopened_, std::nullopt);
        return TopicProgress::failed;
    }
    if (holds_some()) {  // of the one that is gone
        error = Error{.code = Errc::busy, .operation = waiting_for};
        return TopicProgress::failed;
    }
    if (scope_->stopped()) return TopicProgress::waiting;
    if (link_) {
        pause_after_loss();
        leave();
    }
    if (scheduler_->now() < reopens_at_) {
        if (!alarm_.armed()) scheduler_->timers.arm(alarm_, reopens_at_);
        return TopicProgress::waiting;
    }
    opening_.emplace(OpenLink(*again_));
    if (!opening_->start(Start{*scheduler_, *scope_, reopened_, *task_})) return TopicProgress::waiting;
    finish_reopening();
    return progress(error);
}

void SubscriberEnd::finish_reopening() noexcept {
    auto opened = opening_->take();
    opening_.reset();
    if (!opened) {
        // A stop is told by the wait itself.
        if (opened.error() != Errc::cancelled) not_reopened_ = opened.error();
        return;
    }
    // From the oldest that is there: nothing of the successor's is missed that can be had.
    const auto attached = attach_to(std::move(*opened), topic::depth_max);
    if (!attached) {
        not_reopened_ = attached.error();
        return;
    }
    restarted_ = true;
    ++restarts_;
}

void SubscriberEnd::run_reopened(ReadyItem& item) noexcept {
    SubscriberEnd& self = static_cast<Reopened&>(item).owner;
    self.finish_reopening();
    if (self.waiter_ != nullptr) self.waiter_->look_again();
}

}  // namespace weir::ipc
