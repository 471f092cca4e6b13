// SPDX-License-Identifier: MIT
//
// Several things at once, in place: all_of and first_of.
//
//     auto outcome = co_await first_of(quit.next(), session(scheduler, std::move(peer)));
//     if (outcome.index() == 0) …
//
// Each arm is any description: an operation, a task, another combinator. All arms start in order under one
// fresh scope, and all are joined: the await ends when every arm has ended, so nothing is left running and no
// result is dropped. first_of asks the others to stop when the first ends; all_of when the first fails. An
// arm that comes after the decision in starting order is refused (`cancelled`) without trying anything.
#pragma once

#include "weir/coro/root_stop.hpp"
#include "weir/coro/task.hpp"

#include <cstddef>
#include <tuple>
#include <utility>

namespace weir {

/// Which arms exist is known to the templates; this is what does not depend on it.
class JoinState : public Pending {
public:
    struct Arm : ReadyItem {
        Arm(JoinState& owner, std::uint32_t place) noexcept
            : ReadyItem(run_ready), join(owner), index(place) {}
        static void run_ready(ReadyItem& item) noexcept {
            auto& arm = static_cast<Arm&>(item);
            arm.join.arm_ended(arm.index);
            if (arm.join.live_ == 0) arm.join.task_->context().ready.push_front(*arm.join.waiter_);
        }
        JoinState& join;
        std::uint32_t index;
    };

protected:
    using TakeArm = bool (*)(JoinState&, std::uint32_t index) noexcept;  // true if the outcome is a value

    JoinState(const Kind& kind, std::uint32_t arms, bool first_decides, TakeArm take) noexcept
        : Pending(kind),
          take_(take),
          live_(arms),
          decided_(arms),
          arms_(arms),
          first_decides_(first_decides) {}

    void enter(const Start& start) noexcept {
        task_ = &start.task;
        waiter_ = &start.waiter;
        scope_.enter(start.scope);
    }
    void arm_ended(std::uint32_t index) noexcept {
        --live_;
        const bool good = take_(*this, index);
        if (decided_ == arms_ && (first_decides_ || !good)) {
            decided_ = index;
            scope_.request_stop();
            if (live_ > 0) root_stop_.begin(*task_);
        }
    }
    [[nodiscard]] std::uint32_t live() const noexcept { return live_; }
    /// The arm that decided; the number of arms if none did.
    [[nodiscard]] std::uint32_t decided() const noexcept { return decided_; }
    void set_decided(std::uint32_t index) noexcept { decided_ = index; }
    void leave() noexcept {
        scope_.leave();
        root_stop_.end();
    }
    [[nodiscard]] StopScope& scope() noexcept { return scope_; }

private:
    StopScope scope_;
    RootStop root_stop_;
    TaskState* task_ = nullptr;
    ReadyItem* waiter_ = nullptr;
    TakeArm take_;
    std::uint32_t live_;
    std::uint32_t decided_;
    std::uint32_t arms_;
    bool first_decides_;
};

template <std::size_t number, class D>
struct JoinArm : JoinState::Arm {
    JoinArm(JoinState& owner, D&& description) noexcept
        : Arm(owner, static_cast<std::uint32_t>(number)), wait(std::move(description)) {}
    typename D::Wait wait;
    std::optional<typename D::Outcome> outcome;
};

template <class Indices, class... Ds>
class JoinArms;

template <std::size_t... indices, class... Ds>
class JoinArms<std::index_sequence<indices...>, Ds...> : public JoinState, public JoinArm<indices, Ds>... {
public:
    JoinArms(const Kind& kind, bool first_decides, std::tuple<Ds...>&& descriptions) noexcept
        : JoinState(kind, sizeof...(Ds), first_decides, take_arm),
          JoinArm<indices, Ds>(*this, std::move(std::get<indices>(descriptions)))... {}

    bool start(const Start& start) noexcept {
        enter(start);
        (start_arm<indices, Ds>(start), ...);
        return live() == 0;
    }
    void refuse(Errc code) noexcept {
        set_decided(0);
        (refuse_arm<indices, Ds>(code), ...);
    }

protected:
    static void visit_arms(const Pending& self, PendingVisitor& visitor) noexcept {
        const auto& wait = static_cast<const JoinArms&>(self);
        (visit_arm(static_cast<const JoinArm<indices, Ds>&>(wait), visitor), ...);
    }
    template <std::size_t index>
    auto& outcome_of() noexcept {
        using D = std::tuple_element_t<index, std::tuple<Ds...>>;
        return static_cast<JoinArm<index, D>&>(*this).outcome;
    }

private:
    template <std::size_t index, class D>
    void start_arm(const Start& start) noexcept {
        auto& arm = static_cast<JoinArm<index, D>&>(*this);
        arm.set_priority(start.waiter.priority());
        if (start_or_refuse<D>(arm.wait, Start{start.context, scope(), arm, start.task})) arm_ended(index);
    }
    template <std::size_t index, class D>
    void refuse_arm(Errc code) noexcept {
        auto& arm = static_cast<JoinArm<index, D>&>(*this);
        arm.wait.refuse(code);
        arm.outcome.emplace(arm.wait.take());
    }
    template <std::size_t index, class D>
    static void visit_arm(const JoinArm<index, D>& arm, PendingVisitor& visitor) noexcept {
        if (!arm.outcome) visitor.on_pending(arm.wait);
    }
    template <std::size_t index, class D>
    bool take_one() noexcept {
        auto& arm = static_cast<JoinArm<index, D>&>(*this);
        arm.outcome.emplace(arm.wait.take());
        return static_cast<bool>(*arm.outcome);
    }
    static bool take_arm(JoinState& self, std::uint32_t index) noexcept {
        auto& arms = static_cast<JoinArms&>(self);
        bool good = false;
        (void)((index == indices ? (good = arms.template take_one<indices, Ds>(), true) : false) || ...);
        return good;
    }
};

/// What first_of gives: the index of the first arm to end, and every arm's outcome. It tests and reads like a
/// Result of that first arm, so WEIR_CO_CHECK(first_of(…)) ends the task if the first arm to end failed.
template <class... Outcomes>
class [[nodiscard]] FirstOf {
public:
    FirstOf(std::size_t index, std::tuple<Outcomes...>&& outcomes) noexcept
        : outcomes_(std::move(outcomes)), index_(index) {
        find_error(std::index_sequence_for<Outcomes...>{});
    }

    [[nodiscard]] std::size_t index() const noexcept { return index_; }
    template <std::size_t arm>
    [[nodiscard]] auto& get() noexcept {
        return std::get<arm>(outcomes_);
    }
    template <std::size_t arm>
    [[nodiscard]] const auto& get() const noexcept {
        return std::get<arm>(outcomes_);
    }

    explicit operator bool() const noexcept { return !error_.has_value(); }
    /// The first arm's error; only where it failed.
    [[nodiscard]] const Error& error() const noexcept {
        WEIR_ASSERT(error_.has_value());
        return *error_;
    }
    /// For the deadline around it: says `timed_out` where it would say `cancelled`.
    void time_out() noexcept {
        if (error_ && *error_ == Errc::cancelled) error_->code = Errc::timed_out;
    }

private:
    template <std::size_t... arms>
    void find_error(std::index_sequence<arms...>) noexcept {
        (void)((arms == index_ ? (note(std::get<arms>(outcomes_)), true) : false) || ...);
    }
    template <class Outcome>
    void note(const Outcome& outcome) noexcept {
        if (!outcome) error_ = outcome.error();
    }

    std::tuple<Outcomes...> outcomes_;
    std::size_t index_;
    std::optional<Error> error_;
};

template <class... Outcomes>
void mark_timed_out(FirstOf<Outcomes...>& outcome) noexcept {
    outcome.time_out();
}

template <class... Ds>
class [[nodiscard]] FirstOfDescription : public Awaitable<FirstOfDescription<Ds...>> {
public:
    using Outcome = FirstOf<typename Ds::Outcome...>;
    explicit FirstOfDescription(Ds&&... arms) noexcept : arms_(std::move(arms)...) {}

    class Wait : public JoinArms<std::index_sequence_for<Ds...>, Ds...> {
        using Base = JoinArms<std::index_sequence_for<Ds...>, Ds...>;

    public:
        explicit Wait(FirstOfDescription&& self) noexcept : Base(kind, true, std::move(self.arms_)) {}
        Outcome take() noexcept {
            this->leave();
            return take_all(std::index_sequence_for<Ds...>{});
        }

    private:
        static constexpr Pending::Kind kind{"first_of", &Base::visit_arms, Pending::Shape::combinator};
        template <std::size_t... arms>
        Outcome take_all(std::index_sequence<arms...>) noexcept {
            return Outcome(this->decided(), std::tuple<typename Ds::Outcome...>(
                                                std::move(*this->template outcome_of<arms>())...));
        }
    };

private:
    std::tuple<Ds...> arms_;
};

/// Ends when every arm has ended; the first to end makes the others stop. See FirstOf.
template <class... Ds>
    requires(sizeof...(Ds) >= 1)
[[nodiscard]] auto first_of(Ds... arms) noexcept {
    return FirstOfDescription<Ds...>(std::move(arms)...);
}

/// A void value's place in all_of's tuple.
struct Nothing {};

template <class Outcome>
struct ValueOf;
template <class T>
struct ValueOf<Result<T>> {
    using Type = std::conditional_t<std::is_void_v<T>, Nothing, T>;
    static Type take(Result<T>&& result) noexcept {
        if constexpr (std::is_void_v<T>) {
            return Nothing{};
        } else {
            return *std::move(result);
        }
    }
};
template <class... Outcomes>
struct ValueOf<FirstOf<Outcomes...>> {
    using Type = FirstOf<Outcomes...>;
    static Type take(FirstOf<Outcomes...>&& outcome) noexcept { return std::move(outcome); }
};

template <class... Ds>
class [[nodiscard]] AllOfDescription : public Awaitable<AllOfDescription<Ds...>> {
public:
    using Value = std::tuple<typename ValueOf<typename Ds::Outcome>::Type...>;
    using Outcome = Result<Value>;
    explicit AllOfDescription(Ds&&... arms) noexcept : arms_(std::move(arms)...) {}

    class Wait : public JoinArms<std::index_sequence_for<Ds...>, Ds...> {
        using Base = JoinArms<std::index_sequence_for<Ds...>, Ds...>;

    public:
        explicit Wait(AllOfDescription&& self) noexcept : Base(kind, false, std::move(self.arms_)) {}
        Outcome take() noexcept {
            this->leave();
            return take_all(std::index_sequence_for<Ds...>{});
        }

    private:
        static constexpr Pending::Kind kind{"all_of", &Base::visit_arms, Pending::Shape::combinator};
        template <std::size_t... arms>
        Outcome take_all(std::index_sequence<arms...>) noexcept {
            if (this->decided() != sizeof...(Ds)) {
                Error error;
                (void)((arms == this->decided() ? (error = this->template outcome_of<arms>()->error(), true)
                                                : false) ||
                       ...);
                return failure(error);
            }
            return Value(
                ValueOf<typename Ds::Outcome>::take(std::move(*this->template outcome_of<arms>()))...);
        }
    };

private:
    std::tuple<Ds...> arms_;
};

/// Ends when every arm has ended, with a tuple of their values; the first to fail makes the others stop, and its
/// error is the result. A void arm's value is Nothing.
template <class... Ds>
    requires(sizeof...(Ds) >= 1)
[[nodiscard]] auto all_of(Ds... arms) noexcept {
    return AllOfDescription<Ds...>(std::move(arms)...);
}

}  // namespace weir
