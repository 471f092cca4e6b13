// SPDX-License-Identifier: MIT
//
// The publisher's end of a topic: what does not depend on the type of a sample.
//
// It serves the topic's name and owns the memory that the samples lie in, which every subscriber maps read-only. Of each
// subscriber it reads three kinds of words, each once and checked: its epoch, its pins, and, unless it overwrites the
// oldest whatever happens, its position. A subscriber that writes nonsense is ended alone.
//
// A subscriber of our own user that is dropped keeps what it holds until it has let go of it by itself. One of another
// user, which reads copies, is dropped at once.
#pragma once

#include "weir/core/name.hpp"
#include "weir/ipc/ring/peer_teller.hpp"
#include "weir/ipc/shm/link.hpp"
#include "weir/ipc/topic/layout.hpp"
#include "weir/ipc/topic/wait.hpp"

#include <span>

namespace weir::ipc {

/// The name of a topic. Its socket is in the runtime directory.
using TopicName = Name;

struct PublisherOptions {
    std::uint32_t depth = 16;            ///< samples that are kept, a power of two up to 2^24
    std::uint32_t loans = 1;             ///< samples that are being filled at one time, up to 1,024
    std::uint32_t subscribers_max = 4;   ///< at one time, up to 1,024; each takes a slot of the link table
    std::uint32_t subscriber_loans = 2;  ///< samples that each of them may hold at one time, up to 31
    TopicPolicy policy = TopicPolicy::overwrite_oldest;
    /// With wait_for_slowest: how long one loan waits for subscribers of other users before they are dropped.
    Duration patience = std::chrono::seconds(1);
    LinkServerOptions link{};  ///< of the name: mode, owner, group, directory
};

class PublisherEnd : public PeerTeller<PublisherEnd> {
public:
    static constexpr const char* waiting_for = "topic loan";

    PublisherEnd() noexcept = default;
    PublisherEnd(PublisherEnd&& other) noexcept;
    PublisherEnd& operator=(PublisherEnd&& other) noexcept;
    ~PublisherEnd() { shut(); }

    /// Makes the memory and serves the name. Errors: invalid (a shape that cannot be), too_large, and those of
    /// LinkServer::create and Region::create.
    Result<void> create(Scheduler& scheduler, const TopicName& name, const topic::SampleShape& shape,
                        const PublisherOptions& options) noexcept;
    [[nodiscard]] bool open() const noexcept { return static_cast<bool>(server_); }
    void shut() noexcept;

    [[nodiscard]] std::uint64_t published() const noexcept { return writer_.head(); }
    [[nodiscard]] std::uint32_t subscribers() const noexcept { return subscribers_; }
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return sleeps_; }

    // --- loans

    [[nodiscard]] bool waited_for() const noexcept { return waiter_ != nullptr; }
    /// Whether one more sample may be filled and published without a look at the subscribers.
    [[nodiscard]] bool ready() noexcept { return writer_.head() + out_ < limit_ && out_ < loans_; }
    [[nodiscard]] TopicProgress progress(std::optional<Error>& error) noexcept;
    /// ready() was true.
    [[nodiscard]] std::uint32_t take_slot() noexcept {
        if (pool_.empty()) [[unlikely]]
            reclaim_slots();
        ++out_;
        return pool_.take();
    }
    [[nodiscard]] std::byte* at(std::uint32_t slot) const noexcept {
        return slots_ + std::size_t{slot} * facts_.slot_bytes;
    }
    void publish(std::uint32_t slot) noexcept {
        --out_;
        const std::uint32_t gone = writer_.publish(slot);
        if (gone != topic::no_slot) pool_.retire(gone);
        PeerTeller::publish();
    }
    void abandon(std::uint32_t slot) noexcept {
        --out_;
        pool_.give_back(slot);
    }

    // --- for PeerTeller: it tells all of them

    [[nodiscard]] PublisherEnd& outgoing() noexcept { return *this; }
    [[nodiscard]] Scheduler& scheduler() const noexcept { return *scheduler_; }
    [[nodiscard]] bool deferred() const noexcept { return false; }
    [[nodiscard]] bool publish_lightly() noexcept {
        // The words of strangers are left for when it has to be sure: one that writes to them all the time would make
        // each of these loads a wait for another processor's cache.
        for (Subscription* const each : std::span(live_, live_count_))
            if (each->trusted && each->peer.asleep()) each->link->ring_bell();
        return false;  // rung already
    }
    [[nodiscard]] bool peer_sleeps() noexcept;
    void ring() const noexcept {}

private:
    template <class>
    friend class TopicWait;

    /// One place for a subscriber.
    struct Subscription {
        enum class Stage : std::uint8_t {
            free,
            granted,   ///< it gets its memory
            attached,  ///< as all are
            dropped,   ///< it may still hold samples
        };
        Link* link = nullptr;
        topic::Peer<topic::MachineAtomics> peer;
        std::uint64_t came_at = 0;  ///< the head then
        std::uint64_t floor = 0;    ///< nothing before it was promised
        std::uint32_t index = 0;
        std::uint32_t generation = 0;
        Stage stage = Stage::free;
        bool trusted = false;

        [[nodiscard]] std::uint64_t needs_from() const noexcept { return std::max(peer.position(), floor); }
    };
    struct Alarm : Timer {
        explicit Alarm(PublisherEnd& end) noexcept : Timer(patience_ended), owner(end) {}
        PublisherEnd& owner;
    };

    static const LinkHooks hooks;
    static Result<LinkGrant> on_admit(void* owner, Link& link) noexcept;
    static void fill_region(void* owner, Link& link, Bytes region) noexcept;
    static void on_attached(void* owner, Link& link) noexcept;
    static void on_signal(void* owner, Link& link) noexcept;
    static std::uint32_t news(void* owner, const Link& link) noexcept;
    static void fill_stat(void* owner, LinkStat& stat) noexcept;
    static void fill_peer_stat(void* owner, const Link& link, LinkPeerStat& stat) noexcept;
    static void patience_ended(Timer& timer) noexcept;

    [[nodiscard]] bool waits_for_some() const noexcept {
        return facts_.policy == TopicPolicy::wait_for_slowest;
    }
    [[nodiscard]] bool overwrites() const noexcept { return facts_.policy == TopicPolicy::overwrite_oldest; }
    [[nodiscard]] topic::TopicPlace place_of(const Subscription& whose) const noexcept;
    [[nodiscard]] topic::MachineAtomics::Word& verdict_of(const Subscription& whose) const noexcept;
    /// Of a subscriber that is attached.
    [[nodiscard]] static const topic::SubscriberRegion& region_of(const Subscription& whose) noexcept;
    void reclaim_slots() noexcept;
    void look_at_all() noexcept;
    /// Drops those that one more sample would overtake.
    void drop_slow(bool strangers_only) noexcept;
    void drop(Subscription& whom, topic::Verdict why) noexcept;
    /// It is not among the live ones any more, and its place is free.
    void forget(Subscription& whom) noexcept;

    // --- for TopicWait

    [[nodiscard]] TopicProgress sleep(std::optional<Error>& error) noexcept;
    void awake() noexcept { sleeper_.withdraw(); }
    void wait_begins(const Start& start) noexcept;
    void wait_ends() noexcept;
    [[nodiscard]] bool stops_later() const noexcept { return false; }
    [[nodiscard]] const Watch::Word& watched() const noexcept { return region_of(*slowest_).words.position; }
    [[nodiscard]] std::uint32_t seen() const noexcept {
        return static_cast<std::uint32_t>(slowest_->peer.position());
    }

    void take_from(PublisherEnd& other) noexcept;

    Scheduler* scheduler_ = nullptr;
    topic::Writer<topic::MachineAtomics> writer_;
    std::uint64_t limit_ = 0;  // where the slowest one ends it, as far as is known
    std::uint32_t out_ = 0;    // slots that are being filled
    std::uint32_t loans_ = 0;
    topic::SlotPool pool_;
    std::byte* slots_ = nullptr;
    Subscription** live_ = nullptr;  // attached or dropped
    std::uint32_t live_count_ = 0;
    std::uint32_t subscribers_ = 0;  // attached
    topic::TopicFacts facts_{};
    topic::Sleeper<topic::MachineAtomics> sleeper_;
    TopicWaiter* waiter_ = nullptr;
    Subscription* places_ = nullptr;
    Subscription* slowest_ = nullptr;
    Duration patience_{};
    Alarm alarm_{*this};
    LinkServer server_;
    Region region_;
    Mapping mapping_;
    Mapping private_;  // the pool's words, and places_ and live_
    std::uint64_t sleeps_ = 0;
    std::uint64_t dropped_ = 0;
    TokenBucket<1'000'000'000, 16> reports_;  // of those that are dropped
};

}  // namespace weir::ipc
