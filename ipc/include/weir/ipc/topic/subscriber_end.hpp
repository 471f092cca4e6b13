// SPDX-License-Identifier: MIT
//
// A subscriber's end of a topic: what does not depend on the type of a sample.
//
// Samples of a publisher that is trusted are used in place: a pin keeps the slot from being used again. Those of another
// one are copied into memory of our own first, so that nothing changes while it is used; otherwise all is the same.
//
// When the publisher goes, everything that it published can still be taken. Then next() tells of the end, or, if the
// subscriber was opened so, waits for a successor.
#pragma once

#include "weir/core/name.hpp"
#include "weir/ipc/ring/peer_teller.hpp"
#include "weir/ipc/shm/link.hpp"
#include "weir/ipc/topic/layout.hpp"
#include "weir/ipc/topic/wait.hpp"

#include <bit>
#include <optional>

namespace weir::ipc {

struct SubscriberOptions {
    /// How many samples it may be behind: older ones count as missed. 0: as many as the publisher keeps. Where the
    /// publisher does not overwrite, that is what counts.
    std::uint32_t depth = 0;
    /// How many samples from before its time it gets first, as far as they are there. Its time begins when the publisher
    /// lets it in. Where the publisher does not overwrite, half of its depth at most.
    std::uint32_t history = 0;
    /// What next() does when the publisher has gone and all was taken. It begins with a successor's oldest sample.
    Successor successor = Successor::none;
    LinkOpenOptions link{};
};

class SubscriberEnd : public PeerTeller<SubscriberEnd> {
public:
    static constexpr const char* waiting_for = "topic next";

    SubscriberEnd() noexcept = default;
    SubscriberEnd(SubscriberEnd&& other) noexcept;
    SubscriberEnd& operator=(SubscriberEnd&& other) noexcept;
    ~SubscriberEnd() { shut(); }

    /// Takes over an attachment; `again` says how to make another. Errors: mismatch (memory that does not fit its
    /// terms), no_memory (for copies).
    Result<void> attach(LinkClient client, const topic::SampleShape& shape, const SubscriberOptions& options,
                        const OpenLink& again) noexcept;
    void shut() noexcept;

    [[nodiscard]] bool attached() const noexcept { return link_ && link_->state() == LinkState::attached; }
    /// Samples are used where the publisher wrote them.
    [[nodiscard]] bool in_place() const noexcept { return !copies_; }
    [[nodiscard]] std::uint32_t depth() const noexcept { return facts_.depth; }
    [[nodiscard]] std::uint64_t restarts() const noexcept { return restarts_; }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return sleeps_; }

    // --- samples

    [[nodiscard]] bool waited_for() const noexcept { return waiter_ != nullptr; }
    /// Takes the next sample, which stays until take_staged().
    [[nodiscard]] bool ready() noexcept {
        if (staged_) return true;
        if (free_pins_ == 0 || over_) [[unlikely]]
            return false;
        const auto pin = static_cast<std::uint32_t>(std::countr_zero(free_pins_));
        const topic::Found found = reader_.take(pin, taken_);
        if (found != topic::Found::sample) return found == topic::Found::corrupt && broke();
        return stage();
    }
    [[nodiscard]] TopicProgress progress(std::optional<Error>& error) noexcept;
    struct Staged {
        const std::byte* data;
        std::uint64_t sequence;
        std::uint64_t missed;
        std::uint32_t pin;
        bool restarted;
    };
    /// ready() was true.
    [[nodiscard]] Staged take_staged() noexcept {
        staged_ = false;
        return {.data = data_of(taken_),
                .sequence = taken_.sequence,
                .missed = taken_.missed,
                .pin = taken_.pin,
                .restarted = std::exchange(restarted_, false)};
    }
    /// The newest sample, without waiting; then take_staged().
    [[nodiscard]] std::optional<Errc> stage_newest() noexcept;
    /// Why a try found nothing.
    [[nodiscard]] Errc why_not() const noexcept;
    void release(std::uint32_t pin) noexcept {
        if (in_place()) reader_.release(pin);
        free_pins_ |= 1U << pin;
        if (over_) [[unlikely]]
            leave_if_unused();
    }

    // --- for PeerTeller: of its position, to a publisher that may wait for it

    [[nodiscard]] SubscriberEnd& outgoing() noexcept { return *this; }
    [[nodiscard]] Scheduler& scheduler() const noexcept { return *scheduler_; }
    [[nodiscard]] bool deferred() const noexcept { return false; }
    [[nodiscard]] bool publish_lightly() noexcept { return publisher_.asleep(); }
    [[nodiscard]] bool peer_sleeps() noexcept {
        topic::MachineAtomics::fence(topic::Fence::after_tell);  // pairs with after_announce in the publisher
        return publisher_.asleep();
    }
    void ring() noexcept { link_->ring_bell(); }

private:
    template <class>
    friend class TopicWait;

    struct Alarm : Timer {
        explicit Alarm(SubscriberEnd& end) noexcept : Timer(pause_ended), owner(end) {}
        SubscriberEnd& owner;
    };
    struct Reopened : ReadyItem {
        explicit Reopened(SubscriberEnd& end) noexcept : ReadyItem(run_reopened), owner(end) {}
        SubscriberEnd& owner;
    };

    static const LinkHooks hooks;
    static void on_signal(void* owner, Link& link) noexcept;
    static void run_reopened(ReadyItem& item) noexcept;
    static void pause_ended(Timer& timer) noexcept;

    [[nodiscard]] const std::byte* data_of(const topic::Taken& taken) const noexcept {
        if (in_place()) return slots_ + std::size_t{taken.slot} * facts_.slot_bytes;
        return copies_.data() + std::size_t{taken.pin} * facts_.slot_bytes;
    }
    /// What take() found becomes the next sample, unless it comes after a gap that may not be.
    [[nodiscard]] bool stage() noexcept {
        const bool overwritten = facts_.policy == TopicPolicy::overwrite_oldest;
        if (overwritten && in_place()) [[likely]] {
            free_pins_ &= free_pins_ - 1;
            return staged_ = true;
        }
        return stage_with_care();
    }
    [[nodiscard]] bool stage_with_care() noexcept;
    [[nodiscard]] bool copy_out() noexcept;
    [[nodiscard]] bool broke() noexcept;
    /// Why the publisher ended this connection.
    [[nodiscard]] std::optional<Errc> verdict() const noexcept;
    [[nodiscard]] bool holds_some() const noexcept { return free_pins_ != all_pins_; }
    /// After it is over: the publisher's memory stays until nothing of it is held.
    void leave_if_unused() noexcept;
    void leave() noexcept;
    [[nodiscard]] TopicProgress reopen(std::optional<Error>& error) noexcept;
    /// How long the next publisher is not asked for.
    void pause_after_loss() noexcept;
    /// The successor's answer is there.
    void finish_reopening() noexcept;

    // --- for TopicWait

    [[nodiscard]] TopicProgress sleep(std::optional<Error>& error) noexcept;
    void awake() noexcept { sleeper_.withdraw(); }
    void wait_begins(const Start& start) noexcept {
        scope_ = &start.scope;
        task_ = &start.task;
    }
    void wait_ends() noexcept {
        if (alarm_.armed()) [[unlikely]]
            scheduler_->timers.disarm(alarm_);
    }
    [[nodiscard]] bool stops_later() const noexcept { return opening_.has_value(); }
    [[nodiscard]] const Watch::Word& watched() const noexcept;
    [[nodiscard]] std::uint32_t seen() const noexcept;

    Result<void> attach_to(LinkClient client, std::uint32_t history) noexcept;
    void take_from(SubscriberEnd& other) noexcept;

    topic::Reader<topic::MachineAtomics> reader_;
    topic::Taken taken_{};
    std::uint32_t free_pins_ = 0;
    std::uint32_t all_pins_ = 0;
    bool staged_ = false;
    bool fresh_ = false;  // nothing was taken from this publisher yet
    bool restarted_ = false;
    std::optional<Errc> over_;  // for good: dropped, or broken
    const std::byte* slots_ = nullptr;
    topic::TopicFacts facts_{};
    topic::SampleShape shape_{};
    topic::TopicPlace place_{};
    topic::Sleeper<topic::MachineAtomics> sleeper_;
    topic::Waker<topic::MachineAtomics> publisher_;
    TopicWaiter* waiter_ = nullptr;
    Scheduler* scheduler_ = nullptr;
    LinkClient link_;
    Mapping copies_;              // private
    StopScope* scope_ = nullptr;  // of the one who waits
    TaskState* task_ = nullptr;
    SubscriberOptions options_{};
    std::optional<OpenLink> again_;
    std::optional<OpenLink::Wait> opening_;
    std::optional<Error> not_reopened_;
    Alarm alarm_{*this};  // of the pause before it is opened again
    Instant attached_at_{};
    Instant reopens_at_{};
    Duration pause_{};
    Reopened reopened_{*this};
    std::uint64_t restarts_ = 0;
    std::uint64_t sleeps_ = 0;
};

}  // namespace weir::ipc
