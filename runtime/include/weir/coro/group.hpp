// SPDX-License-Identifier: MIT
//
// A bounded number of children, joined.
//
//     WEIR_CO_CHECK(with_group<16>(scheduler, accept_loop, std::move(listener)));
//
//     Task<> accept_loop(Scheduler& scheduler, Group& sessions, UnixListener listener) { … sessions.spawn(…) … }
//
// The body is a task of its own and gets the group. When it returns, the children are joined if it succeeded, and
// stopped and joined if it failed; there is no way to leave a child behind. What becomes of a child's error is a
// named policy:
//
//     stop_group          (also when none is named) the first error stops body and children and is the result
//     collect(f, context) f gets each error; the others go on
//
// A child that ends with `cancelled` because the group was stopped is no error to either.
// spawn() only queues the child: it first runs when the spawning task has suspended.
// A child may outlive the body: what it refers to must belong to the task that awaits the group, not to the body.
#pragma once

#include "weir/coro/root_stop.hpp"
#include "weir/coro/task.hpp"

#include <span>
#include <tuple>

namespace weir {

/// What a group does with a child's error.
struct GroupPolicy {
    using Handler = void (*)(const Error& error, void* context) noexcept;
    Handler handler = nullptr;  ///< null: the first error stops the group
    void* context = nullptr;
};

/// The first error stops the body and the other children, and is the group's result.
inline constexpr GroupPolicy stop_group{};
/// `handler` gets each error, in the scheduler's thread; the others go on.
[[nodiscard]] constexpr GroupPolicy collect(GroupPolicy::Handler handler, void* context = nullptr) noexcept {
    return {handler, context};
}

/// What the body and those whom it hands it to know of a group. Lives until the with_group() is over, and belongs to
/// its scheduler's thread.
class Group {
public:
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    /// Queues the child to be started; if the group is stopped before that it is dropped unstarted. Errc::no_group_slot
    /// when full, no_frame or too_large for a hollow task, cancelled when the group is stopping or over: the task is
    /// dropped then, with all it was given.
    Result<void> spawn(Task<> child, Priority priority = Priority::normal) noexcept;

    /// Asks the body and all children to stop.
    void request_stop() noexcept;
    /// Children that have not ended.
    [[nodiscard]] std::size_t size() const noexcept { return live_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size(); }

    struct Slot : ReadyItem {
        Slot() noexcept : ReadyItem(run_slot) {}
        Group* group = nullptr;
        Slot* next_free = nullptr;
        Task<>::Handle child;
        std::optional<Result<void>> result;
    };

protected:
    Group(std::span<Slot> slots, GroupPolicy policy) noexcept;
    ~Group() { WEIR_ASSERT(live_ == 0); }

    bool start(const Start& start, Task<>::Wait& body) noexcept;
    Result<void> take() noexcept;
    void visit(PendingVisitor& visitor, const Task<>::Wait& body) const noexcept;
    [[nodiscard]] StopScope& scope() noexcept { return scope_; }
    void refuse_body(Errc code) noexcept { error_ = Error{.code = code, .operation = "group"}; }

private:
    struct Body : ReadyItem {
        explicit Body(Group& owner) noexcept : ReadyItem(body_ended), group(owner) {}
        Group& group;
    };

    static void run_slot(ReadyItem& item) noexcept;
    static void body_ended(ReadyItem& item) noexcept;
    void end_body() noexcept;
    /// Body and children have ended.
    [[nodiscard]] bool over() const noexcept { return body_result_.has_value() && live_ == 0; }
    void note(const Error& error) noexcept;

    StopScope scope_;
    RootStop root_stop_;
    std::span<Slot> slots_;
    Slot* free_ = nullptr;
    std::size_t live_ = 0;
    GroupPolicy policy_;
    Body body_item_;
    Task<>::Wait* body_ = nullptr;
    Context* context_ = nullptr;
    ReadyItem* waiter_ = nullptr;
    TaskState* parent_ = nullptr;
    std::optional<Error> error_;
    std::optional<Result<void>> body_result_;  // there once the body has ended
};

template <std::size_t slots, class S, class Body, class... Args>
class [[nodiscard]] WithGroup : public Awaitable<WithGroup<slots, S, Body, Args...>> {
public:
    using Outcome = Result<void>;

    WithGroup(S& scheduler, GroupPolicy policy, Body body, Args&&... args) noexcept
        : scheduler_(&scheduler), policy_(policy), body_(body), args_(std::move(args)...) {}

    class Wait;

private:
    S* scheduler_;
    GroupPolicy policy_;
    Body body_;
    std::tuple<Args...> args_;
};

template <std::size_t slots, class S, class Body, class... Args>
class WithGroup<slots, S, Body, Args...>::Wait : public Pending {
    static_assert(
        slots * sizeof(Group::Slot) < FramePool::size_max,
        "a group's slots lie in the frame that awaits it, and no frame is larger than FramePool::size_max");
    struct Storage {
        Group::Slot slots_of[slots];
    };
    struct Sized : Storage, Group {
        explicit Sized(GroupPolicy policy) noexcept : Group(Storage::slots_of, policy) {}
        using Group::refuse_body;
        using Group::start;
        using Group::take;
        using Group::visit;
    };

public:
    explicit Wait(WithGroup&& self) noexcept
        : Pending(kind), group_(self.policy_), body_(make_body(self, group_)) {}

    bool start(const Start& start) noexcept { return group_.start(start, body_); }
    void refuse(Errc code) noexcept { group_.refuse_body(code); }
    Result<void> take() noexcept { return group_.take(); }

private:
    static void visit_members(const Pending& self, PendingVisitor& visitor) noexcept {
        const auto& wait = static_cast<const Wait&>(self);
        wait.group_.visit(visitor, wait.body_);
    }
    static constexpr Kind kind{"group", &visit_members};
    static Task<> make_body(WithGroup& self, Group& group) noexcept {
        return std::apply(
            [&](auto&... args) { return self.body_(*self.scheduler_, group, std::move(args)...); },
            self.args_);
    }

    Sized group_;
    Task<>::Wait body_;
};

/// Runs `body(scheduler, group, args…)`, a task function, with a group of at most `slots` children. The storage
/// (about 96 bytes a slot) is part of the awaiting task's frame.
template <std::size_t slots, std::derived_from<Context> S, class Body, class... Args>
    requires(!std::same_as<Body, GroupPolicy>)
[[nodiscard]] auto with_group(S& scheduler, Body body, Args... args) noexcept {
    return WithGroup<slots, S, Body, Args...>(scheduler, stop_group, body, std::move(args)...);
}
template <std::size_t slots, std::derived_from<Context> S, class Body, class... Args>
[[nodiscard]] auto with_group(S& scheduler, GroupPolicy policy, Body body, Args... args) noexcept {
    return WithGroup<slots, S, Body, Args...>(scheduler, policy, body, std::move(args)...);
}

}  // namespace weir
