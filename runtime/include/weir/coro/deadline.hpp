// SPDX-License-Identifier: MIT
//
// Deadlines on an await: `description.within(1s)`, `description.by(instant)`, and shielded().
//
// The deadline belongs to one await. When it passes, everything inside is asked to stop and ends with
// `cancelled`; only this await turns that into `timed_out`. If the inside ended with a value or with an error of
// its own in the meantime, that is the result: the deadline never throws away what arrived.
#pragma once

#include "weir/coro/task.hpp"

namespace weir {

/// Lets outcomes other than Result say what a deadline does to them.
template <class T>
void mark_timed_out(Result<T>& outcome) noexcept {
    if (outcome || outcome.error() != Errc::cancelled) return;
    Error error = outcome.error();
    error.code = Errc::timed_out;
    outcome = failure(error);
}

/// A scope with an alarm clock: the part of a deadline that does not depend on what is awaited.
class DeadlineScope : public StopScope {
public:
    DeadlineScope() noexcept : timer_(*this) {}

    void arm(Context& context, Instant at) noexcept {
        context_ = &context;
        context.timers.arm(timer_, at);
    }
    void disarm() noexcept {
        if (timer_.armed()) context_->timers.disarm(timer_);
        leave();
    }
    [[nodiscard]] Instant until() const noexcept { return timer_.armed() ? timer_.at() : never; }
    [[nodiscard]] bool expired() const noexcept { return cause() == StopCause::deadline; }

private:
    struct Alarm : Timer {
        explicit Alarm(DeadlineScope& owner) noexcept
            : Timer([](Timer& timer) noexcept {
                  static_cast<Alarm&>(timer).scope.request_stop(StopCause::deadline);
              }),
              scope(owner) {}
        DeadlineScope& scope;
    };

    Alarm timer_;
    Context* context_ = nullptr;
};

/// The Wait of whatever has a deadline: a scope around what is inside. Derived classes start it.
template <class D>
class DeadlineWait : public Pending {
public:
    void refuse(Errc code) noexcept { inner_.refuse(code); }
    typename D::Outcome take() noexcept {
        scope_.disarm();
        typename D::Outcome outcome = inner_.take();
        if (scope_.expired()) mark_timed_out(outcome);
        return outcome;
    }

protected:
    DeadlineWait(const Kind& kind_of, D&& inner) noexcept : Pending(kind_of), inner_(std::move(inner)) {}
    ~DeadlineWait() = default;
    static void visit_inner(const Pending& self, PendingVisitor& visitor) noexcept {
        const auto& wait = static_cast<const DeadlineWait&>(self);
        visitor.on_detail(-1, wait.scope_.until());
        visitor.on_pending(wait.inner_);
    }

    DeadlineScope scope_;
    typename D::Wait inner_;
};

/// A description with a deadline.
template <class D>
class [[nodiscard]] Timed : public Awaitable<Timed<D>> {
public:
    using Outcome = typename D::Outcome;

    Timed(D&& inner, Duration span) noexcept : inner_(std::move(inner)), span_(span), at_(never) {}
    Timed(D&& inner, Instant at) noexcept : inner_(std::move(inner)), span_(Duration::max()), at_(at) {}

    class Wait;

private:
    D inner_;
    Duration span_;  // from the start of the await; max() where `at_` counts
    Instant at_;
};

template <class D>
class Timed<D>::Wait : public DeadlineWait<D> {
public:
    explicit Wait(Timed&& timed) noexcept
        : DeadlineWait<D>(kind, std::move(timed.inner_)), span_(timed.span_), at_(timed.at_) {}

    bool start(const Start& start) noexcept {
        this->scope_.enter(start.scope);
        // The attempt goes first: what completes at once pays for no timer and no look at the clock.
        const Start inside{start.context, this->scope_, start.waiter, start.task};
        if (start_or_refuse<D>(this->inner_, inside)) return true;
        const Instant at = span_ == Duration::max() ? at_ : after(start.context.now(), span_);
        if (at != never) this->scope_.arm(start.context, at);
        return false;
    }

private:
    static constexpr Pending::Kind kind{"deadline", &DeadlineWait<D>::visit_inner, Pending::Shape::wrapper};

    Duration span_;
    Instant at_;
};

/// See shielded().
template <class D>
class [[nodiscard]] Shielded : public Awaitable<Shielded<D>> {
public:
    using Outcome = typename D::Outcome;

    Shielded(D&& inner, Duration span) noexcept : inner_(std::move(inner)), span_(span) {}

    // A second deadline around a shield could not reach what is inside: the shield's own is the one.
    template <class T>
    void within(T) && = delete;
    void by(Instant) && = delete;

    class Wait;

private:
    D inner_;
    Duration span_;
};

template <class D>
class Shielded<D>::Wait : public DeadlineWait<D> {
public:
    explicit Wait(Shielded&& shielded) noexcept
        : DeadlineWait<D>(kind, std::move(shielded.inner_)), span_(shielded.span_) {}

    bool start(const Start& start) noexcept {
        // The scope enters no other one: that is the shield.
        if (this->inner_.start(Start{start.context, this->scope_, start.waiter, start.task})) return true;
        this->scope_.arm(start.context, after(start.context.now(), span_));
        return false;
    }

private:
    static constexpr Pending::Kind kind{"shielded", &DeadlineWait<D>::visit_inner, Pending::Shape::wrapper};

    Duration span_;
};

template <class D>
inline constexpr bool starts_when_stopped<Shielded<D>> = true;

/// Runs `description` (a task, an operation) under a fresh scope that no outer stop reaches, for at most `span`:
/// the one way to say goodbye, flush, unlink or reap while stopping. Ends with `timed_out` after `span`. Await it
/// directly: as an arm of first_of or all_of it is refused under a stop like any other arm.
template <class Rep, class Period, class D>
[[nodiscard]] auto shielded(std::chrono::duration<Rep, Period> span, D description) noexcept {
    return Shielded<D>(std::move(description), saturating_ns(span));
}

}  // namespace weir
