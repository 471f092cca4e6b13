// SPDX-License-Identifier: MIT
//
// One publishes, many subscribe: samples of one type through shared memory.
//
//     WEIR_CO_TRY(auto publisher, Publisher<Pose>::create(scheduler, "vehicle/pose", {.subscribers_max = 4}));
//     WEIR_CO_TRY(auto sample, publisher.loan());
//     *sample = pose;
//     sample.publish();
//
//     WEIR_CO_TRY(auto poses, Subscriber<Pose>::open(scheduler, "vehicle/pose", {.depth = 8}).within(2s));
//     WEIR_CO_TRY(auto seen, poses.next());
//     use(seen->x_m, seen.missed());                  // let go of at the end of the scope
//
// The publisher serves the name and keeps the last `depth` samples. Each subscriber goes its own way through them; what
// becomes of one that does not keep up is the publisher's policy. While there is something to take, and nobody sleeps,
// neither side makes a system call.
//
// Samples are used in place, however large they are; a sample that is held keeps its slot, and nothing else, from being
// used again. Between processes of different users a subscriber gets a copy of its own.
#pragma once

#include "weir/ipc/topic/publisher_end.hpp"
#include "weir/ipc/topic/subscriber_end.hpp"

namespace weir::ipc {

/// What may be a sample.
template <class T>
concept TopicRecord = PortableRecord<T> && alignof(T) <= 64;

/// A sample that is being filled. Dropping it abandons it. Move-only; lives no longer than its Publisher, which must not
/// move meanwhile.
template <TopicRecord T>
class [[nodiscard]] Loan {
public:
    Loan(PublisherEnd& end, std::uint32_t slot) noexcept
        : end_(&end), value_(static_cast<T*>(static_cast<void*>(end.at(slot)))), slot_(slot) {}
    Loan(Loan&& other) noexcept
        : end_(std::exchange(other.end_, nullptr)), value_(other.value_), slot_(other.slot_) {}
    Loan& operator=(Loan&&) = delete;
    ~Loan() { abandon(); }

    /// What lies there is what an earlier sample left.
    [[nodiscard]] T& operator*() const noexcept { return *value_; }
    [[nodiscard]] T* operator->() const noexcept { return value_; }
    /// Gives it to all subscribers, as the next sample. A system call only for those that sleep.
    void publish() noexcept {
        WEIR_ASSERT(end_ != nullptr && "a sample is published twice");
        std::exchange(end_, nullptr)->publish(slot_);
    }
    void abandon() noexcept {
        if (end_ != nullptr) std::exchange(end_, nullptr)->abandon(slot_);
    }

private:
    PublisherEnd* end_;
    T* value_;
    std::uint32_t slot_;
};

/// A sample that was taken. Dropping it lets go of it. Move-only; lives no longer than its Subscriber, which must not
/// move meanwhile.
template <TopicRecord T>
class [[nodiscard]] Sample {
public:
    explicit Sample(SubscriberEnd& end) noexcept : end_(&end), staged_(end.take_staged()) {}
    Sample(Sample&& other) noexcept : end_(std::exchange(other.end_, nullptr)), staged_(other.staged_) {}
    Sample& operator=(Sample&&) = delete;
    ~Sample() {
        if (end_ != nullptr) release();
    }

    [[nodiscard]] const T& operator*() const noexcept { return *value(); }
    [[nodiscard]] const T* operator->() const noexcept { return value(); }
    /// Which one it is of those that this publisher published, from 0.
    [[nodiscard]] std::uint64_t sequence() const noexcept { return staged_.sequence; }
    /// How many were published between the one taken before and this one, exactly. Before the first: of those that it
    /// might have had, see SubscriberOptions::history.
    [[nodiscard]] std::uint64_t missed() const noexcept { return staged_.missed; }
    /// It is the first one of another publisher: see Successor::await. What it missed is not known then.
    [[nodiscard]] bool restarted() const noexcept { return staged_.restarted; }
    /// Lets go of it.
    void release() noexcept {
        WEIR_ASSERT(end_ != nullptr && "a sample is let go of twice");
        std::exchange(end_, nullptr)->release(staged_.pin);
    }

private:
    [[nodiscard]] const T* value() const noexcept {
        return static_cast<const T*>(static_cast<const void*>(staged_.data));
    }

    SubscriberEnd* end_;
    SubscriberEnd::Staged staged_;
};

/// What a task gets of one end: Take makes the value of the end once it is there.
template <class End, class Take>
class [[nodiscard]] TopicAwait : public Awaitable<TopicAwait<End, Take>> {
public:
    using Outcome = Result<typename Take::Value>;
    explicit TopicAwait(End& end) noexcept : end_(&end) {}

    /// What a wait would find first.
    [[nodiscard]] bool ready_at_once() const noexcept { return !end_->waited_for() && end_->ready(); }
    [[nodiscard]] Outcome take_at_once() const noexcept { return Take{}(*end_); }

    class Wait : public TopicWait<End> {
    public:
        explicit Wait(TopicAwait&& description) noexcept : TopicWait<End>(kind, *description.end_) {}
        Outcome take() noexcept {
            if (!this->arrived()) [[unlikely]]
                return this->failed();
            return Take{}(this->end());
        }

    private:
        static constexpr Pending::Kind kind{End::waiting_for, nullptr};
    };

private:
    End* end_;
};

/// The publisher of a topic of T. Move-only, while no loan is out and nobody waits; belongs to one scheduler's thread.
/// Takes one slot of the link table, and one for each subscriber.
template <TopicRecord T>
class Publisher {
    struct TakeLoan {
        using Value = Loan<T>;
        Value operator()(PublisherEnd& end) const noexcept { return Value(end, end.take_slot()); }
    };

public:
    Publisher() noexcept = default;

    /// Makes the memory, which is all there from then on, and serves `name`. Errors: invalid (the operation says which
    /// number cannot be), too_large (beyond 2 GiB), no_memory, no_files, unsupported (no memfd), in_use (the holder's
    /// pid), no_link, denied, not_found (no runtime directory).
    static Result<Publisher> create(Scheduler& scheduler, const TopicName& name,
                                    const PublisherOptions& options = {}) noexcept {
        Publisher publisher;
        const auto created = publisher.end_.create(scheduler, name, topic::shape_of<T>(), options);
        if (!created) return failure(created.error());
        return publisher;
    }

    /// A sample to be filled and published. Waits only with the policy wait_for_slowest, until all subscribers have taken
    /// what it takes the place of. Errors: cancelled, timed_out, busy (another task waits, or as many loans are out as may
    /// be), closed. Takes no frame.
    [[nodiscard]] auto loan() noexcept { return TopicAwait<PublisherEnd, TakeLoan>(end_); }
    /// Without waiting: would_block where loan() would wait. Costs no credit of the task.
    [[nodiscard]] Result<Loan<T>> try_loan() noexcept {
        if (end_.waited_for()) [[unlikely]]
            return failure(Errc::busy, PublisherEnd::waiting_for);
        if (!end_.ready()) [[unlikely]] {
            std::optional<Error> error;
            const TopicProgress progressed = end_.progress(error);
            if (error) return failure(*error);
            if (progressed != TopicProgress::ready)
                return failure(Errc::would_block, PublisherEnd::waiting_for);
        }
        return Loan<T>(end_, end_.take_slot());
    }
    /// Ends the topic. Subscribers take what is there, then learn `ended`. No loan is out.
    void close() noexcept { end_.shut(); }

    /// Samples that were published.
    [[nodiscard]] std::uint64_t published() const noexcept { return end_.published(); }
    /// Subscribers that are attached now.
    [[nodiscard]] std::uint32_t subscribers() const noexcept { return end_.subscribers(); }
    /// Subscribers that were dropped: by the policy, or since they wrote what they must not.
    [[nodiscard]] std::uint64_t dropped() const noexcept { return end_.dropped(); }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return end_.sleeps(); }

private:
    PublisherEnd end_;
};

/// A subscriber to a topic of T. Move-only, while no sample is held and nobody waits; belongs to one scheduler's thread.
/// Takes one slot of the link table.
template <TopicRecord T>
class Subscriber {
    struct TakeSample {
        using Value = Sample<T>;
        Value operator()(SubscriberEnd& end) const noexcept { return Value(end); }
    };

public:
    Subscriber() noexcept = default;

    /// What open() returns: see there.
    class [[nodiscard]] Open : public Awaitable<Open> {
    public:
        using Outcome = Result<Subscriber>;
        Open(const OpenLink& link, const SubscriberOptions& options) noexcept
            : link_(link), options_(options) {}
        class Wait : public OpenLink::Wait {
        public:
            explicit Wait(Open&& open) noexcept
                : OpenLink::Wait(OpenLink(open.link_)), link_(open.link_), options_(open.options_) {}
            Result<Subscriber> take() noexcept {
                WEIR_TRY(LinkClient client, OpenLink::Wait::take());
                Subscriber subscriber;
                const auto attached =
                    subscriber.end_.attach(std::move(client), topic::shape_of<T>(), options_, link_);
                if (!attached) return failure(attached.error());
                return subscriber;
            }

        private:
            OpenLink link_;
            SubscriberOptions options_;
        };

    private:
        OpenLink link_;
        SubscriberOptions options_;
    };

    /// Waits until `name` is served and attaches to it. Errors: those of open_link(): mismatch (another type of sample),
    /// no_place (the publisher has its subscribers_max), denied, no_link, no_memory, no_files, cancelled, timed_out.
    [[nodiscard]] static Open open(Scheduler&, const TopicName& name,
                                   const SubscriberOptions& options = {}) noexcept {
        return Open(open_link(name, topic::shape_of<T>().terms(0), options.link), options);
    }

    /// Waits for the next sample. Completes at once while there are any. Errors: ended (the publisher closed) and
    /// peer_lost (it died), both only after its last sample, and both not with Successor::await, where an error of
    /// open() may come instead and the next call tries again; overflow (dropped, since it was too slow) and corrupt (one
    /// side wrote nonsense), both for good; busy (another task waits, or as many samples are held as may be, or one of a
    /// publisher that is gone); closed, cancelled, timed_out. Takes no frame.
    [[nodiscard]] auto next() noexcept { return TopicAwait<SubscriberEnd, TakeSample>(end_); }
    /// Without waiting: would_block where next() would wait or tell of an end. Costs no credit of the task.
    [[nodiscard]] Result<Sample<T>> try_next() noexcept {
        if (end_.waited_for()) [[unlikely]]
            return failure(Errc::busy, SubscriberEnd::waiting_for);
        if (!end_.ready()) return failure(end_.why_not(), SubscriberEnd::waiting_for);
        return Sample<T>(end_);
    }
    /// The newest sample, also if it was taken before; next() goes on behind it, and what lies between counts as missed.
    /// Without waiting: would_block if none was ever published. Other errors: busy, closed, overflow, corrupt.
    [[nodiscard]] Result<Sample<T>> latest() noexcept {
        if (const auto error = end_.stage_newest()) return failure(*error, "topic latest");
        return Sample<T>(end_);
    }
    /// Leaves at once.
    void close() noexcept { end_.shut(); }

    /// Its publisher is there.
    [[nodiscard]] bool attached() const noexcept { return end_.attached(); }
    /// Samples are used where the publisher wrote them, and not copied.
    [[nodiscard]] bool in_place() const noexcept { return end_.in_place(); }
    /// Samples that the publisher keeps.
    [[nodiscard]] std::uint32_t depth() const noexcept { return end_.depth(); }
    /// How many other publishers it found after the first one.
    [[nodiscard]] std::uint64_t restarts() const noexcept { return end_.restarts(); }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return end_.sleeps(); }

private:
    SubscriberEnd end_;
};

}  // namespace weir::ipc
