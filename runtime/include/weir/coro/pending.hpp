// SPDX-License-Identifier: MIT
//
// What a task is suspended on.
//
// co_await takes a *description*: a small value that says what to do (read into this buffer, sleep so long, run
// this task). Its nested type Wait is the state of doing it, pinned in the awaiting task's frame:
//
//     Wait(Description&&)              made in place when the await begins
//     bool start(const Start&)         try; true if it completed at once, else Start::waiter is queued later
//     void refuse(Errc)                instead of start: complete at once with this error, having tried nothing
//     Outcome take()                   the result, once; called after completion, cleans up
//
// Description::Outcome is Result<Value>, or something that behaves like one. The combinators (within, all_of,
// first_of, group) drive the same four calls, so whatever can be awaited can also be an arm of them.
//
// Awaitable<D> gives a description its operator co_await and its deadlines.
#pragma once

#include "weir/core/result.hpp"
#include "weir/core/time.hpp"
#include "weir/coro/context.hpp"
#include "weir/coro/stop.hpp"

#include <coroutine>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace weir {

class TaskState;
class Pending;

/// Everything an operation gets to know when it starts.
struct Start {
    Context& context;
    StopScope& scope;   ///< what a stop would reach it through
    ReadyItem& waiter;  ///< queued when it completes
    TaskState& task;    ///< the task in which it happens
};

/// Receives what a Pending tells of itself, for Scheduler::dump.
class PendingVisitor {
public:
    /// `fd` is -1 where none is involved; `until` is `never` without a deadline.
    virtual void on_detail(int fd, Instant until) noexcept = 0;
    virtual void on_task(const TaskState& task) noexcept = 0;
    virtual void on_pending(const Pending& pending) noexcept = 0;

protected:
    ~PendingVisitor() = default;
};

/// The common, describable part of every Wait.
class Pending {
public:
    /// How it is told in a task's line.
    enum class Shape : std::uint8_t {
        plain,
        wrapper,     ///< by what it wraps (a deadline)
        combinator,  ///< by its name, and each of its arms by a line below
    };
    struct Kind {
        const char* name;  ///< "unix stream read"
        /// May be null. Debuggers tell by its name what to look for, and by its local `wait` in what type
        /// (tools/gdb/weir.py).
        void (*visit)(const Pending&, PendingVisitor&) noexcept;
        Shape shape = Shape::plain;
    };
    explicit Pending(const Kind& kind_of) noexcept : kind_(&kind_of) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;

    [[nodiscard]] const Kind& kind() const noexcept { return *kind_; }
    [[nodiscard]] const char* name() const noexcept { return kind_->name; }
    void visit(PendingVisitor& visitor) const noexcept {
        if (kind_->visit != nullptr) kind_->visit(*this, visitor);
    }

protected:
    ~Pending() = default;

private:
    const Kind* kind_;
};

/// A Wait that completes by an event (a kernel object, a timer, another task) rather than by a child's end.
class Leaf : public Pending, public Stoppable {
protected:
    Leaf(const Kind& kind_of, Stop function) noexcept : Pending(kind_of), Stoppable(function) {}
    ~Leaf() = default;

    void begin(const Start& start) noexcept {
        context_ = &start.context;
        waiter_ = &start.waiter;
        start.scope.add(*this);
    }
    /// Queues the waiter; the operation is over.
    void complete() noexcept {
        if (linked()) unlink();
        context_->ready.push_back(*waiter_);
    }
    [[nodiscard]] Context& context() const noexcept { return *context_; }

private:
    Context* context_ = nullptr;
    ReadyItem* waiter_ = nullptr;
};

template <class D>
class Timed;

/// True for descriptions that run even under a stop (shielded, a result that is already there).
template <class D>
inline constexpr bool starts_when_stopped = false;

template <class D>
class CoAwait;

/// Base of every description D (curiously recurring).
template <class D>
class Awaitable {
public:
    /// A copy that ends with Errc::timed_out when `span` has passed. It counts from the end of the first try: what
    /// completes at once pays for no timer, and a span of zero still allows that try.
    template <class Rep, class Period>
    [[nodiscard]] auto within(std::chrono::duration<Rep, Period> span) && noexcept {
        return Timed<D>(std::move(self()), saturating_ns(span));
    }
    template <class Rep, class Period>
    [[nodiscard]] auto within(
        std::chrono::duration<Rep, Period> span) const& noexcept requires std::is_trivially_copyable_v<D> {
        return Timed<D>(D(static_cast<const D&>(*this)), saturating_ns(span));
    }
    /// A copy that ends with Errc::timed_out at `deadline`, after one try if that has passed; `never` means no
    /// deadline.
    [[nodiscard]] auto by(Instant deadline) && noexcept { return Timed<D>(std::move(self()), deadline); }
    [[nodiscard]] auto by(Instant deadline) const& noexcept requires std::is_trivially_copyable_v<D> {
        return Timed<D>(D(static_cast<const D&>(*this)), deadline);
    }

    CoAwait<D> operator co_await() && noexcept { return CoAwait<D>(std::move(self())); }
    CoAwait<D> operator co_await() const& noexcept requires std::is_trivially_copyable_v<D> {
        return CoAwait<D>(D(static_cast<const D&>(*this)));
    }

private:
    D& self() noexcept { return static_cast<D&>(*this); }
};

/// Anything that has the four calls above.
template <class D>
concept Description = requires(typename std::remove_cvref_t<D>::Wait& wait, const Start& start) {
    { wait.start(start) } -> std::same_as<bool>;
    {wait.refuse(Errc::cancelled)};
    {wait.take()};
};

/// Decides between trying and refusing: the one place where a stop is looked at before an operation.
template <class D>
bool start_or_refuse(typename D::Wait& wait, const Start& start) {
    if constexpr (!starts_when_stopped<D>) {
        if (start.scope.stopped()) {
            wait.refuse(Errc::cancelled);
            return true;
        }
    }
    return wait.start(start);
}

}  // namespace weir
