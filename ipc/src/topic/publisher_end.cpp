// SPDX-License-Identifier: MIT
//
// A place for a subscriber is free, granted while its client attaches, attached, and perhaps dropped before it is free
// again. The live ones, attached or dropped, are listed besides, since their epochs are looked at with every sample; the
// pins of the dropped still count.
//
// How far one may publish is known as a limit: the position of the slowest, plus the depth. When the limit is reached
// all positions are looked at anew. Who overwrites has no limit. A closed publisher's is 0.
#include "weir/ipc/topic/publisher_end.hpp"

#include "weir/core/report.hpp"
#include "weir/ipc/ring/words.hpp"

#include <new>

namespace weir::ipc {
namespace {

using topic::MachineAtomics;
using topic::SubscriberRegion;
using topic::Verdict;
using PublisherWords = topic::PublisherWords<MachineAtomics>;
using Entry = topic::Entry<MachineAtomics>;

constexpr std::uint64_t no_limit = ~std::uint64_t{0};

/// The facts of a topic with these options, or why there can be none.
Result<topic::TopicFacts> facts_of(const topic::SampleShape& shape,
                                   const PublisherOptions& options) noexcept {
    const auto wrong = [](const char* what, std::uint64_t number) {
        return failure(Errc::invalid, what, number);
    };
    if (!std::has_single_bit(options.depth) || options.depth > topic::depth_max)
        return wrong("topic create, its depth", options.depth);
    if (options.loans == 0 || options.loans > topic::loans_limit)
        return wrong("topic create, its loans", options.loans);
    if (options.subscribers_max == 0 || options.subscribers_max > topic::subscribers_limit)
        return wrong("topic create, its subscribers_max", options.subscribers_max);
    if (options.subscriber_loans == 0 || options.subscriber_loans > topic::pins_max)
        return wrong("topic create, its subscriber_loans", options.subscriber_loans);
    const std::uint64_t stride = shape.stride();
    // Linked, being filled, pinned, and what makes scans rare. Those pinned are never more than this, so whoever wants
    // to fill a slot finds one, whatever subscribers write.
    const std::uint64_t pinned = std::uint64_t{options.subscribers_max} * options.subscriber_loans;
    const std::uint64_t slots = std::uint64_t{options.depth} + options.loans + pinned +
                                topic::spare_slots(pinned, options.depth, stride);
    if (stride > topic::region_bytes_max || slots * stride > topic::region_bytes_max)
        return failure(Errc::too_large, "topic create", slots * stride, topic::region_bytes_max);
    return topic::TopicFacts{.policy = options.policy,
                             .depth = options.depth,
                             .slots = static_cast<std::uint32_t>(slots),
                             .slot_bytes = static_cast<std::uint32_t>(stride),
                             .subscribers = options.subscribers_max,
                             .pins = options.subscriber_loans,
                             .reserved = {}};
}

/// Makes `count` of T at `memory`, and moves it behind them.
template <class T>
T* make_some(std::byte*& memory, std::size_t count) noexcept {
    void* const at = memory;
    T* const first = static_cast<T*>(at);
    for (std::size_t i = 0; i < count; ++i) ::new (static_cast<void*>(first + i)) T();
    memory += count * sizeof(T);
    return first;
}

}  // namespace

const LinkHooks PublisherEnd::hooks{.on_admit = on_admit,
                                    .fill_region = fill_region,
                                    .on_attached = on_attached,
                                    .on_signal = on_signal,
                                    .fill_stat = fill_stat,
                                    .fill_peer_stat = fill_peer_stat,
                                    .news = news};

PublisherEnd::PublisherEnd(PublisherEnd&& other) noexcept : PeerTeller() {
    take_from(other);
}
PublisherEnd& PublisherEnd::operator=(PublisherEnd&& other) noexcept {
    if (this == &other) return *this;
    shut();
    take_from(other);
    return *this;
}
void PublisherEnd::take_from(PublisherEnd& other) noexcept {
    WEIR_ASSERT(other.waiter_ == nullptr && other.out_ == 0 && "a publisher is moved while it is in use");
    other.settle();
    scheduler_ = other.scheduler_;
    writer_ = std::exchange(other.writer_, {});
    limit_ = std::exchange(other.limit_, 0);
    loans_ = other.loans_;
    pool_ = std::exchange(other.pool_, {});
    slots_ = std::exchange(other.slots_, nullptr);
    live_ = std::exchange(other.live_, nullptr);
    live_count_ = std::exchange(other.live_count_, 0);
    subscribers_ = std::exchange(other.subscribers_, 0);
    facts_ = other.facts_;
    sleeper_ = std::exchange(other.sleeper_, {});
    places_ = std::exchange(other.places_, nullptr);
    slowest_ = nullptr;
    patience_ = other.patience_;
    server_ = std::move(other.server_);
    region_ = std::move(other.region_);
    mapping_ = std::move(other.mapping_);
    private_ = std::move(other.private_);
    sleeps_ = other.sleeps_;
    dropped_ = other.dropped_;
    reports_ = other.reports_;
    if (server_) server_.set_owner(this);
}

Result<void> PublisherEnd::create(Scheduler& scheduler, const TopicName& name,
                                  const topic::SampleShape& shape, const PublisherOptions& options) noexcept {
    WEIR_TRY(facts_, facts_of(shape, options));
    const auto layout = topic::TopicLayout::of(facts_);
    if (!layout) return failure(Errc::too_large, "topic create", 0, topic::region_bytes_max);

    const std::size_t private_size = facts_.subscribers * (sizeof(Subscription) + sizeof(Subscription*)) +
                                     topic::SlotPool::words_of(facts_.slots) * sizeof(std::uint32_t);
    WEIR_TRY(private_, private_memory(private_size));
    std::byte* rest = private_.data();
    places_ = make_some<Subscription>(rest, facts_.subscribers);
    live_ = make_some<Subscription*>(rest, facts_.subscribers);
    pool_ = topic::SlotPool(make_some<std::uint32_t>(rest, topic::SlotPool::words_of(facts_.slots)),
                            facts_.slots);
    for (std::uint32_t i = 0; i < facts_.subscribers; ++i) places_[i].index = i;

    WEIR_TRY(region_, Region::create(static_cast<std::size_t>(layout->size), "weir-topic"));
    WEIR_TRY(mapping_, region_.map_writable());
    if (const auto sealed = region_.seal(); !sealed) return failure(sealed.error());
    ::new (static_cast<void*>(mapping_.data())) topic::TopicFacts(facts_);
    auto* const words =
        ::new (static_cast<void*>(mapping_.data() + topic::TopicLayout::words)) PublisherWords();
    std::byte* verdicts = mapping_.data() + topic::TopicLayout::verdicts;
    make_some<MachineAtomics::Word>(verdicts, facts_.subscribers);
    std::byte* entries = mapping_.data() + layout->entries;
    writer_ = topic::Writer<MachineAtomics>(*words, make_some<Entry>(entries, facts_.depth), facts_.depth);
    slots_ = mapping_.data() + layout->slots;
    sleeper_ = topic::Sleeper<MachineAtomics>(words->epoch);
    scheduler_ = &scheduler;
    loans_ = options.loans;
    patience_ = options.patience;
    WEIR_TRY(server_,
             LinkServer::create(scheduler, name, shape.terms(facts_.depth), hooks, this, options.link));
    server_.expect_clients(options.subscribers_max);
    limit_ = no_limit;
    return {};
}

void PublisherEnd::shut() noexcept {
    WEIR_ASSERT(waiter_ == nullptr && out_ == 0 && "a publisher is closed while it is in use");
    settle();
    server_.close();
    limit_ = 0;
    live_count_ = 0;
    subscribers_ = 0;
    slowest_ = nullptr;
    mapping_.unmap();
    private_.unmap();
    region_.close();
}

// --- its subscribers' words

topic::TopicPlace PublisherEnd::place_of(const Subscription& whose) const noexcept {
    return {
        .index = whose.index, .generation = whose.generation, .head = whose.came_at, .floor = whose.floor};
}

MachineAtomics::Word& PublisherEnd::verdict_of(const Subscription& whose) const noexcept {
    void* const first = mapping_.data() + topic::TopicLayout::verdicts;
    return *(std::launder(static_cast<MachineAtomics::Word*>(first)) + whose.index);
}

const SubscriberRegion& PublisherEnd::region_of(const Subscription& whose) noexcept {
    const void* const at = whose.link->peer().data();
    return *std::launder(static_cast<const SubscriberRegion*>(at));
}

bool PublisherEnd::peer_sleeps() noexcept {
    MachineAtomics::fence(topic::Fence::after_tell);  // pairs with after_announce in each subscriber
    for (Subscription* const each : std::span(live_, live_count_))
        if (each->peer.asleep()) each->link->ring_bell();
    return false;  // rung already
}

void PublisherEnd::reclaim_slots() noexcept {
    Subscription* broken = nullptr;  // another one would be found next time
    topic::reclaim<MachineAtomics>(pool_, [&](topic::SlotPool& pool) {
        for (Subscription* const each : std::span(live_, live_count_))
            if (!each->peer.keep_pins(pool, facts_.pins)) broken = each;
    });
    if (broken != nullptr) drop(*broken, Verdict::corrupt);
}

void PublisherEnd::look_at_all() noexcept {
    std::uint64_t limit = no_limit;
    slowest_ = nullptr;
    for (std::uint32_t i = 0; i < live_count_;) {
        Subscription& each = *live_[i];
        if (each.stage == Subscription::Stage::attached) {
            if (!each.peer.look(writer_.head())) {
                drop(each, Verdict::corrupt);  // another one has its place in the list
                continue;
            }
            const std::uint64_t until = each.needs_from() + facts_.depth;
            if (until < limit) {
                limit = until;
                slowest_ = &each;
            }
        }
        ++i;
    }
    limit_ = limit;
}

void PublisherEnd::drop_slow(bool strangers_only) noexcept {
    for (std::uint32_t i = live_count_; i > 0; --i) {
        Subscription& each = *live_[i - 1];
        const bool slow = each.stage == Subscription::Stage::attached &&
                          each.needs_from() + facts_.depth <= writer_.head() + out_;
        if (slow && !(strangers_only && each.trusted)) drop(each, Verdict::too_slow);
    }
    look_at_all();
}

void PublisherEnd::drop(Subscription& whom, Verdict why) noexcept {
    if (whom.stage == Subscription::Stage::attached) {
        ++dropped_;
        --subscribers_;
    }
    // Before anything that it has not read is overwritten: whoever finds a gap finds the reason, too.
    verdict_of(whom).store(whom.generation * 4 + static_cast<std::uint32_t>(why), std::memory_order_release);
    Link& link = *whom.link;
    if (why == Verdict::corrupt) {
        link.turn_out(LinkViolation::memory);
    } else {
        if (reports_.take(scheduler_->now()))
            report(Error{.code = Errc::overflow, .operation = "topic, a subscriber that is dropped"});
        if (whom.trusted) {
            whom.stage = Subscription::Stage::dropped;
            link.ring_bell();
            return;
        }
    }
    forget(whom);
    link.close();
}

void PublisherEnd::forget(Subscription& whom) noexcept {
    for (std::uint32_t i = 0; i < live_count_; ++i) {
        if (live_[i] != &whom) continue;
        live_[i] = live_[--live_count_];
        break;
    }
    if (slowest_ == &whom) slowest_ = nullptr;
    whom.stage = Subscription::Stage::free;
    whom.link = nullptr;
    whom.peer = {};
    if (!overwrites() && open()) limit_ = 0;
}

// --- waiting for space

TopicProgress PublisherEnd::progress(std::optional<Error>& error) noexcept {
    const auto fail_with = [&](Errc code) {
        error = Error{.code = code, .operation = waiting_for};
        return TopicProgress::failed;
    };
    if (!open()) return fail_with(Errc::closed);
    if (out_ >= loans_) return fail_with(Errc::busy);
    if (ready()) return TopicProgress::ready;
    look_at_all();
    if (!ready() && !waits_for_some()) drop_slow(false);
    return ready() ? TopicProgress::ready : TopicProgress::waiting;
}

TopicProgress PublisherEnd::sleep(std::optional<Error>& error) noexcept {
    ++sleeps_;
    sleeper_.announce();
    const TopicProgress progressed = progress(error);
    // The others ring, too, and their bells remember it.
    if (progressed == TopicProgress::waiting) slowest_->link->arm_bell();
    return progressed;
}

void PublisherEnd::wait_begins(const Start&) noexcept {
    if (waits_for_some() && open()) scheduler_->timers.arm(alarm_, after(scheduler_->now(), patience_));
}

void PublisherEnd::wait_ends() noexcept {
    if (alarm_.armed()) scheduler_->timers.disarm(alarm_);
}

void PublisherEnd::patience_ended(Timer& timer) noexcept {
    PublisherEnd& self = static_cast<Alarm&>(timer).owner;
    self.look_at_all();
    self.drop_slow(true);
    self.scheduler_->timers.arm(self.alarm_, after(self.scheduler_->now(), self.patience_));
    self.waiter_->look_again();
}

// --- what its links say

Result<LinkGrant> PublisherEnd::on_admit(void* owner, Link& link) noexcept {
    auto& self = *static_cast<PublisherEnd*>(owner);
    for (Subscription& each : std::span(self.places_, self.facts_.subscribers)) {
        if (each.stage != Subscription::Stage::free) continue;
        each.stage = Subscription::Stage::granted;
        each.link = &link;
        each.trusted = link.trusted();
        ++each.generation;
        // What is promised to late joiners: all that there is, or, where somebody may have to wait for them, so much
        // that others have as much of the room.
        const std::uint64_t head = self.writer_.head();
        const std::uint64_t history = self.overwrites() ? self.facts_.depth : self.facts_.depth / 2;
        each.came_at = head;
        each.floor = head - std::min(head, history);
        self.verdict_of(each).store(each.generation * 4, std::memory_order_relaxed);
        link.set_tag(each.index);
        return LinkGrant{.region = &self.region_,
                         .own = {self.mapping_.data(), self.mapping_.size()},
                         .client_size = sizeof(SubscriberRegion)};
    }
    return failure(Errc::no_place, "topic open", 0, self.facts_.subscribers);
}

void PublisherEnd::fill_region(void* owner, Link& link, Bytes region) noexcept {
    const auto& self = *static_cast<PublisherEnd*>(owner);
    const Subscription& whose = self.places_[link.tag()];
    auto* const made = ::new (static_cast<void*>(region.data())) SubscriberRegion();
    made->place = self.place_of(whose);
    made->words.position.store(static_cast<std::uint32_t>(whose.floor), std::memory_order_relaxed);
}

void PublisherEnd::on_attached(void* owner, Link& link) noexcept {
    auto& self = *static_cast<PublisherEnd*>(owner);
    Subscription& whose = self.places_[link.tag()];
    whose.stage = Subscription::Stage::attached;
    whose.peer = topic::Peer<MachineAtomics>(region_of(whose).words, whose.floor);
    // It is waited for from here on, and not for what was overwritten since it was granted its memory, or will be by
    // the loans that are out.
    const std::uint64_t end = self.writer_.head() + self.out_;
    whose.floor = std::max(whose.floor, end - std::min<std::uint64_t>(end, self.facts_.depth));
    self.live_[self.live_count_++] = &whose;
    ++self.subscribers_;
    if (!self.overwrites()) self.limit_ = 0;
}

void PublisherEnd::on_signal(void* owner, Link& link) noexcept {
    auto& self = *static_cast<PublisherEnd*>(owner);
    const bool over = link.state() != LinkState::attached;
    if (over) {
        Subscription& whose = self.places_[link.tag()];
        if (whose.stage == Subscription::Stage::attached) --self.subscribers_;
        self.forget(whose);
    }
    if (self.waiter_ != nullptr) self.waiter_->look_again();
    if (over) link.close();
}

// One that is not waited for has nothing to ring for once it is attached.
std::uint32_t PublisherEnd::news(void* owner, const Link& link) noexcept {
    const Subscription& whose = static_cast<const PublisherEnd*>(owner)->places_[link.tag()];
    return static_cast<std::uint32_t>(whose.needs_from());
}

void PublisherEnd::fill_stat(void* owner, LinkStat& stat) noexcept {
    const auto& self = *static_cast<PublisherEnd*>(owner);
    stat.region_bytes = self.mapping_.size();
    stat.records = self.published();
    stat.bytes = stat.records * stat.record_size;
    stat.sleeps = self.sleeps_;
    stat.fill = std::min<std::uint64_t>(stat.records, self.facts_.depth);
}

// What it says of itself counts for nothing here but its own figures.
void PublisherEnd::fill_peer_stat(void* owner, const Link& link, LinkPeerStat& stat) noexcept {
    const auto& self = *static_cast<PublisherEnd*>(owner);
    const topic::SubscriberWords<MachineAtomics>& words = region_of(self.places_[link.tag()]).words;
    const auto head = static_cast<std::uint32_t>(self.published());
    stat.fill = head - MachineAtomics::load_relaxed(words.position);
    stat.sleeps = ring::sleeps_of(MachineAtomics::load_relaxed(words.epoch));
}

}  // namespace weir::ipc
