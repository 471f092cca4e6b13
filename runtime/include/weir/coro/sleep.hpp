// SPDX-License-Identifier: MIT
//
// Waiting for time, and for one's turn: sleep_for, sleep_until, yield, Ticker.
#pragma once

#include "weir/coro/task.hpp"

#include <cstdint>
#include <optional>

namespace weir {

/// See sleep_for() and sleep_until().
class [[nodiscard]] Sleep : public Awaitable<Sleep> {
public:
    using Outcome = Result<void>;

    Sleep(Duration span, Instant at, Duration slack) noexcept : span_(span), at_(at), slack_(slack) {}

    class Wait : public Leaf {
    public:
        explicit Wait(Sleep&& sleep) noexcept
            : Leaf(kind, stopped), timer_(*this), span_(sleep.span_), at_(sleep.at_), slack_(sleep.slack_) {}

        bool start(const Start& start) noexcept;
        void refuse(Errc code) noexcept { refused_ = code; }
        void set_until(Instant at) noexcept { at_ = at; }
        Result<void> take() noexcept {
            if (refused_) return failure(*refused_, "sleep");
            return {};
        }

    private:
        struct Alarm : Timer {
            explicit Alarm(Wait& owner) noexcept
                : Timer([](Timer& timer) noexcept { static_cast<Alarm&>(timer).wait.complete(); }),
                  wait(owner) {}
            Wait& wait;
        };
        static void stopped(Stoppable& self) noexcept {
            auto& wait = static_cast<Wait&>(self);
            wait.context().timers.disarm(wait.timer_);
            wait.refused_ = Errc::cancelled;
            wait.complete();
        }
        static void visit_until(const Pending& self, PendingVisitor& visitor) noexcept {
            const auto& wait = static_cast<const Wait&>(self);
            visitor.on_detail(-1, wait.timer_.armed() ? wait.timer_.at() : never);
        }
        static constexpr Kind kind{"sleep", &visit_until};

        Alarm timer_;
        Duration span_;
        Instant at_;
        Duration slack_;
        std::optional<Errc> refused_;
    };

private:
    Duration span_;  // max() where `at_` counts
    Instant at_;
    Duration slack_;
};

/// Suspends until `span` has passed since the await began, at most `slack` longer: sleepers with slack wake
/// together. A span of zero or less does not suspend; one that saturates lasts until a stop. Errors: cancelled,
/// timed_out. Takes no frame and makes no system call of its own.
template <class Rep, class Period>
[[nodiscard]] Sleep sleep_for(std::chrono::duration<Rep, Period> span,
                              Duration slack = Duration::zero()) noexcept {
    return {saturating_ns(span), never, slack};
}
/// Suspends until `at`, at most `slack` longer; an instant in the past does not suspend. Errors as sleep_for().
[[nodiscard]] inline Sleep sleep_until(Instant at, Duration slack = Duration::zero()) noexcept {
    return {Duration::max(), at, slack};
}

/// See yield().
class [[nodiscard]] Yield : public Awaitable<Yield> {
public:
    using Outcome = Result<void>;

    class Wait : public Pending {
    public:
        explicit Wait(Yield&&) noexcept : Pending(kind) {}
        bool start(const Start& start) noexcept {
            start.context.ready.push_back(start.waiter);
            return false;
        }
        void refuse(Errc code) noexcept { refused_ = code; }
        Result<void> take() noexcept {
            if (refused_) return failure(*refused_, "yield");
            return {};
        }

    private:
        static constexpr Kind kind{"yield", nullptr};
        std::optional<Errc> refused_;
    };
};

/// Goes to the back of the ready list, so that every other ready task runs once. Its only error is cancelled.
[[nodiscard]] inline Yield yield() noexcept {
    return {};
}

/// One tick, and how many before it came too late to be seen.
struct Tick {
    std::uint64_t number;  ///< since the ticker began, missed ones included; the first is 1
    std::uint64_t missed;  ///< ticks between the last one delivered and this one
};

/// Ticks at start + n * period, without drift: late wake-ups do not shift later ticks. Belongs to one task.
class Ticker {
public:
    /// `period` is positive. The first tick is one period after the first next().
    explicit Ticker(Duration period, Duration slack = Duration::zero()) noexcept
        : period_(period), slack_(slack) {
        WEIR_ASSERT(period.count() > 0);
    }

    class [[nodiscard]] Description : public Awaitable<Description> {
    public:
        using Outcome = Result<Tick>;
        explicit Description(Ticker& ticker) noexcept : ticker_(&ticker) {}

        class Wait : public Pending {
        public:
            explicit Wait(Description&& description) noexcept
                : Pending(kind),
                  ticker_(*description.ticker_),
                  sleep_(Sleep(Duration::max(), never, ticker_.slack_)) {}
            bool start(const Start& start) noexcept;
            void refuse(Errc code) noexcept { sleep_.refuse(code); }
            Result<Tick> take() noexcept;

        private:
            static void visit_sleep(const Pending& self, PendingVisitor& visitor) noexcept {
                const auto& wait = static_cast<const Wait&>(self);
                visitor.on_pending(wait.sleep_);
            }
            static constexpr Kind kind{"tick", &visit_sleep, Shape::wrapper};
            Ticker& ticker_;
            Context* context_ = nullptr;
            Sleep::Wait sleep_;
        };

    private:
        Ticker* ticker_;
    };

    /// The next tick. If several have passed since the last call, one is given at once and the others are counted
    /// as missed. Errors: cancelled, timed_out; a tick is not lost by either.
    [[nodiscard]] Description next() noexcept { return Description(*this); }

private:
    Duration period_;
    Duration slack_;
    Instant start_ = never;  // `never` until the first next()
    std::uint64_t number_ = 0;
};

}  // namespace weir
