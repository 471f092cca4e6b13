// SPDX-License-Identifier: MIT
//
// Tasks.
//
//     Task<int> answer(Scheduler& scheduler, UnixStream peer) { … co_return 42; }
//
// Calling a task function makes a frame and runs nothing. Task is the frame's only owner: move-only, and
// dropped without being started it is simply gone. Awaiting it runs it until it finishes or suspends, and gives
// Result<T>. Once started a task always runs to its end; it is never destroyed while suspended.
//
// The first parameter of every task function is Scheduler&, which pays for the frame. When the pool is empty
// the Task is hollow and awaiting it gives Errc::no_frame (or too_large, if no pool has such a block).
//
// Leaving with an error: WEIR_CO_TRY and WEIR_CO_CHECK, or `co_return co_await fail(error);`.
//
// How starting works: the awaiting task resumes the child from inside its own await_suspend, so the depth of
// the machine stack follows the depth of the awaits at every optimisation level, up to Budget::stack_bytes: a child
// that would begin below is not begun, and awaiting it gives Errc::no_stack. A child that finished there
// costs no trip through the ready list. One that suspended later marks itself done and puts its parent to the
// front of the ready list; the parent frees the frame.
#pragma once

#include "weir/coro/pending.hpp"

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

namespace weir {

template <class T = void>
class Task;

/// What every task's promise has, whatever its type.
class TaskState : public ReadyItem {
public:
    [[nodiscard]] const char* function() const noexcept { return function_; }
    [[nodiscard]] std::uint32_t line() const noexcept { return line_; }
    [[nodiscard]] const TaskState* parent() const noexcept { return parent_; }
    /// What it is suspended on; null while it runs or is queued to run for the first time.
    [[nodiscard]] const Pending* awaiting() const noexcept { return awaiting_; }
    [[nodiscard]] Instant since() const noexcept { return since_; }
    [[nodiscard]] bool started() const noexcept { return started_; }
    [[nodiscard]] bool done() const noexcept { return done_; }
    [[nodiscard]] StopScope& scope() const noexcept { return *scope_; }
    [[nodiscard]] Context& context() const noexcept { return *context_; }

    /// Binds a lazy task to its place in the tree. `waiter` is queued when it ends after it was left suspended.
    void bind(Context& context, StopScope& scope, ReadyItem& waiter, TaskState* parent) noexcept {
        context_ = &context;
        scope_ = &scope;
        waiter_ = &waiter;
        parent_ = parent;
        if (parent != nullptr) set_priority(parent->priority());
    }
    /// Runs a bound task until it suspends or ends; true if it ended.
    bool begin() noexcept {
        started_ = true;
        ++context_->tasks_started;
        handle().resume();
        if (done_) return true;
        left_suspended_ = true;
        return false;
    }
    /// Lets the ready list start a bound task.
    void begin_later() noexcept {
        left_suspended_ = true;
        context_->ready.push_back(*this);
    }
    void suspended_on(const Pending& pending) noexcept {
        awaiting_ = &pending;
        since_ = context_->turn_time;
    }
    void resumed() noexcept { awaiting_ = nullptr; }

    [[nodiscard]] std::coroutine_handle<> handle() noexcept {
        return std::coroutine_handle<TaskState>::from_promise(*this);
    }

protected:
    TaskState() noexcept : ReadyItem(run_ready) {}

    void finish() noexcept {
        done_ = true;
        if (left_suspended_) context_->ready.push_front(*waiter_);
    }
    void set_place(const char* function, std::uint32_t line) noexcept {
        function_ = function;
        line_ = line;
    }

private:
    static void run_ready(ReadyItem& item) noexcept {
        auto& task = static_cast<TaskState&>(item);
        task.context_->credit = Context::credit_full;
        task.context_->resumed = task.function_;
        if (!task.started_) {
            task.started_ = true;
            ++task.context_->tasks_started;
        }
        task.handle().resume();
    }

    Context* context_ = nullptr;
    StopScope* scope_ = nullptr;
    ReadyItem* waiter_ = nullptr;
    TaskState* parent_ = nullptr;
    const Pending* awaiting_ = nullptr;
    Instant since_{};
    const char* function_ = "";
    std::uint32_t line_ = 0;
    bool started_ = false;
    bool done_ = false;
    bool left_suspended_ = false;  // its waiter wants to be queued at the end
};

/// Awaited by a task to end with an error; see fail().
struct Fail {
    Error error;
};
/// The same with an error that lives on: what the macros below leave with. Not a copy in each task's frame.
struct PassOn {
    const Error& error;
};
/// What `co_await fail(error)` yields in a task that returns a value.
struct Failed {};

/// `co_return co_await fail(error);` ends a task of any type with `error`.
[[nodiscard]] inline Fail fail(const Error& error) noexcept {
    return {error};
}
[[nodiscard]] inline Fail fail(Errc code, const char* operation, std::uint64_t a = 0,
                               std::uint64_t b = 0) noexcept {
    return {{.code = code, .system_errno = 0, .operation = operation, .a = a, .b = b}};
}

/// What co_await makes of a description: its Wait, and the task.
template <class D>
class [[nodiscard]] Awaiter {
public:
    explicit Awaiter(D&& description) noexcept : wait_(std::move(description)) {}
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;

    [[nodiscard]] bool await_ready() const noexcept { return false; }

    template <std::derived_from<TaskState> Promise>
    [[nodiscard]] bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
        TaskState& task = handle.promise();
        Context& context = task.context();
        // Noted before it starts: a child that runs nested in here may dump the tree.
        task_ = &task;
        task.suspended_on(wait_);
        if (!start_or_refuse<D>(wait_, Start{context, task.scope(), task, task})) return true;
        if (--context.credit > 0) return false;
        // Out of credit: the kernel comes first, then the others.
        context.turn_left = 0;
        context.ready.push_back(task);
        return true;
    }
    [[nodiscard]] auto await_resume() noexcept {
        task_->resumed();
        return wait_.take();
    }

private:
    typename D::Wait wait_;
    TaskState* task_ = nullptr;
};

template <class D>
class [[nodiscard]] CoAwait : public Awaiter<D> {
public:
    using Awaiter<D>::Awaiter;
};

/// A description that can tell without a Wait that it would complete at once, and then give its outcome: for what takes
/// less time than a Wait takes to make.
template <class D>
concept TakenAtOnce = std::is_trivially_copyable_v<D> && requires(const D& description) {
    { description.ready_at_once() } -> std::same_as<bool>;
    { description.take_at_once() } -> std::same_as<typename D::Outcome>;
};

/// Made by the promise, which knows the task, so that what is ready does not even begin to suspend. The description stays
/// where it is, which is until the end of the expression: a copy of what was written a moment ago, in other pieces than
/// it is read, would wait until everything written before it has reached the cache.
template <TakenAtOnce D>
class [[nodiscard]] CoAwait<D> {
public:
    CoAwait(const D& description, const TaskState& task) noexcept
        : description_(&description), at_once_(may_take(description, task)) {}
    CoAwait(const CoAwait&) = delete;
    CoAwait& operator=(const CoAwait&) = delete;
    ~CoAwait() {
        if (!at_once_) [[unlikely]]
            std::destroy_at(&slowly_);
    }

    [[nodiscard]] bool await_ready() const noexcept { return at_once_; }
    template <std::derived_from<TaskState> Promise>
    [[nodiscard]] bool await_suspend(std::coroutine_handle<Promise> handle) noexcept {
        return std::construct_at(&slowly_, D(*description_))->await_suspend(handle);
    }
    [[nodiscard]] auto await_resume() noexcept {
        if (!at_once_) [[unlikely]]
            return slowly_.await_resume();
        return description_->take_at_once();
    }

private:
    [[nodiscard]] static bool may_take(const D& description, const TaskState& task) noexcept {
        Context& context = task.context();
        if (context.credit <= 1 || task.scope().stopped() || !description.ready_at_once()) [[unlikely]]
            return false;
        --context.credit;
        return true;
    }

    const D* description_;
    const bool at_once_;
    union {
        Awaiter<D> slowly_;
    };
};

/// Awaiting a Result gives it back at once, moved or (a named one) copied, so that WEIR_CO_TRY serves plain calls too.
template <class R>
class CoAwaitResult {
public:
    explicit CoAwaitResult(R&& result) noexcept : result_(&result) {}
    [[nodiscard]] bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    [[nodiscard]] std::remove_cvref_t<R> await_resume() const noexcept { return static_cast<R&&>(*result_); }

private:
    std::remove_reference_t<R>* result_;
};

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<tl::expected<T, Error>> = true;

template <class T>
class TaskPromise;

/// A context's own type. Unlike std::derived_from it may be asked of a lambda, whose type is still incomplete while
/// its body is compiled.
template <class C>
concept PaysForFrames = std::is_convertible_v<C*, Context*>;

/// Frames, the error way out and awaiting: the part of a promise that depends on its type only for the slot.
template <class T>
class TaskPromiseBase : public TaskState {
public:
    // Inlined even at -O0: g++ 12 would take a template's operator new to mismatch a plain operator delete.
    template <PaysForFrames C, class... Args>
    [[gnu::always_inline]] static void* operator new(std::size_t size, C& context, Args&...) noexcept {
        return allocate(size, context);
    }
    // A member function's or lambda's object comes first.
    template <class This, PaysForFrames C, class... Args>
        requires(!PaysForFrames<This>)
    [[gnu::always_inline]] static void* operator new(std::size_t size, This&, C& context, Args&...) noexcept {
        return allocate(size, context);
    }
    template <class... Args>
    static void* operator new(std::size_t, Args&...) noexcept {
        static_assert(sizeof...(Args) == 999, "the first parameter of a task must be Scheduler&");
        return nullptr;
    }
    static void operator delete(void* memory, std::size_t size) noexcept {
        FramePool* pool;
        std::memcpy(&pool, static_cast<std::byte*>(memory) + size, sizeof(pool));
        pool->release(memory, size + sizeof(pool));
    }

    Task<T> get_return_object(const char* function = __builtin_FUNCTION(),
                              int line = __builtin_LINE()) noexcept;
    static Task<T> get_return_object_on_allocation_failure() noexcept;

    std::suspend_always initial_suspend() const noexcept { return {}; }
    auto final_suspend() noexcept {
        struct Final {
            TaskPromiseBase* promise;
            bool await_ready() const noexcept { return false; }
            void await_suspend(std::coroutine_handle<>) const noexcept { promise->finish(); }
            void await_resume() const noexcept {}
        };
        return Final{this};
    }
    void unhandled_exception() const noexcept { WEIR_ASSERT(false && "an exception left a task"); }

    template <class D>
    D&& await_transform(D&& description) const noexcept {
        return static_cast<D&&>(description);
    }
    template <class D>
        requires TakenAtOnce<std::remove_cvref_t<D>>
    auto await_transform(D&& description) const noexcept {
        return CoAwait<std::remove_cvref_t<D>>(description, *this);
    }
    template <class R>
        requires is_result<std::remove_cvref_t<R>>
    auto await_transform(R&& result) const noexcept { return CoAwaitResult<R>(static_cast<R&&>(result)); }
    auto await_transform(Fail fail) noexcept { return leave_with(fail.error); }
    auto await_transform(PassOn pass_on) noexcept { return leave_with(pass_on.error); }

    void set_slot(std::optional<Result<T>>& slot) noexcept { slot_ = &slot; }

protected:
    std::optional<Result<T>>* slot_ = nullptr;

private:
    struct Left {
        [[nodiscard]] bool await_ready() const noexcept { return true; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        auto await_resume() const noexcept {
            if constexpr (!std::is_void_v<T>) return Failed{};
        }
    };
    Left leave_with(const Error& error) noexcept {
        slot_->emplace(failure(error));
        return {};
    }
    // The pool's address lies behind the frame, where operator delete finds it by the frame's size.
    static void* allocate(std::size_t size, Context& context) noexcept {
        FramePool* const pool = &context.frames;
        void* const memory = pool->allocate(size + sizeof(pool));
        if (memory != nullptr) std::memcpy(static_cast<std::byte*>(memory) + size, &pool, sizeof(pool));
        return memory;
    }
};

template <class T>
class TaskPromise : public TaskPromiseBase<T> {
public:
    // A Result is returned as what it is, even where T could be made from it: a bool could, from whether it has a value.
    template <class U = T>
        requires(!std::same_as<std::remove_cvref_t<U>, Failed> && std::constructible_from<T, U&&> &&
                 (!is_result<std::remove_cvref_t<U>> || is_result<T>))
    void return_value(U&& value) noexcept { this->slot_->emplace(tl::in_place, std::forward<U>(value)); }
    void return_value(Result<T> result) noexcept requires(!is_result<T>) {
        this->slot_->emplace(std::move(result));
    }
    void return_value(Failed) const noexcept {}
};

template <>
class TaskPromise<void> : public TaskPromiseBase<void> {
public:
    void return_void() noexcept {
        if (!slot_->has_value()) slot_->emplace();
    }
};

/// Owner of one task frame, by one pointer. A hollow one (no frame) is legal. Awaiting it takes no further frame;
/// errors are the task's own, and no_frame, too_large (its frame), no_stack (it was not begun), cancelled, timed_out.
template <class T>
class [[nodiscard]] Task : public Awaitable<Task<T>> {
public:
    using promise_type = TaskPromise<T>;
    using Handle = std::coroutine_handle<promise_type>;
    using Outcome = Result<T>;

    Task() noexcept = default;
    explicit Task(Handle handle) noexcept : handle_(handle) {}
    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            drop();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~Task() { drop(); }

    [[nodiscard]] bool hollow() const noexcept { return !handle_; }
    /// (For the scheduler.) What the frame has; there is one.
    [[nodiscard]] promise_type& promise() const noexcept { return handle_.promise(); }
    /// (For the scheduler and groups.) Gives up ownership: whoever calls this frees the frame after the task's end.
    [[nodiscard]] Handle release() noexcept { return std::exchange(handle_, nullptr); }

    class Wait;

private:
    void drop() noexcept {
        if (!handle_) return;
        WEIR_ASSERT(!handle_.promise().started() && !handle_.promise().queued());
        std::exchange(handle_, nullptr).destroy();
    }

    Handle handle_;
};

/// A child on its way: its frame, and the slot for what it returns.
template <class T>
class Task<T>::Wait : public Pending {
public:
    explicit Wait(Task&& task) noexcept : Pending(kind), handle_(task.release()) {}
    ~Wait() {
        if (handle_) {
            WEIR_ASSERT(!handle_.promise().started() || handle_.promise().done());
            handle_.destroy();
        }
    }

    bool start(const Start& start) noexcept {
        if (!handle_ || !start.context.has_stack()) [[unlikely]] {
            slot_.emplace(failure(start.context.why_not_begun(!handle_)));
            return true;
        }
        promise_type& promise = handle_.promise();
        promise.set_slot(slot_);
        promise.bind(start.context, start.scope, start.waiter, &start.task);
        return promise.begin();
    }
    void refuse(Errc code) noexcept { slot_.emplace(failure(code, "task")); }
    Result<T> take() noexcept {
        if (handle_) std::exchange(handle_, nullptr).destroy();
        WEIR_ASSERT(slot_.has_value());
        return std::move(*slot_);
    }

    [[nodiscard]] const TaskState* child() const noexcept { return handle_ ? &handle_.promise() : nullptr; }

private:
    static void visit_child(const Pending& self, PendingVisitor& visitor) noexcept {
        const auto& wait = static_cast<const Wait&>(self);
        if (wait.handle_) visitor.on_task(wait.handle_.promise());
    }
    static constexpr Kind kind{"task", &visit_child};

    Handle handle_;
    std::optional<Result<T>> slot_;
};

template <class T>
Task<T> TaskPromiseBase<T>::get_return_object(const char* function, int line) noexcept {
    static_assert(alignof(TaskPromise<T>) == alignof(TaskState),
                  "handle() computes the frame from TaskState");
    this->set_place(function, static_cast<std::uint32_t>(line));
    auto* promise = static_cast<TaskPromise<T>*>(this);
    // Keeps the compiler from eliding the frame, which would bypass the pool and its refusal.
    asm volatile("" : "+r"(promise));
    return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*promise));
}

template <class T>
Task<T> TaskPromiseBase<T>::get_return_object_on_allocation_failure() noexcept {
    return Task<T>();
}

}  // namespace weir

/// WEIR_CO_TRY(auto bytes, peer.read(buffer).within(1s)); awaits an operation (or takes a Result as it is) and
/// declares `bytes` from its value, or ends the task with its error.
#define WEIR_CO_TRY(declaration, ...)                                                               \
    WEIR_CO_TRY_NAMED(WEIR_JOIN(weir_awaited_, __COUNTER__), WEIR_JOIN(weir_outcome_, __COUNTER__), \
                      declaration, __VA_ARGS__)
#define WEIR_CO_TRY_NAMED(awaited, outcome, declaration, ...)                                            \
    auto&& awaited = (__VA_ARGS__);                                                                      \
    auto outcome = co_await static_cast<decltype(awaited)&&>(awaited);                                   \
    /* The cast: in a template, clang 14 takes an operand of unknown type for a value to return. */      \
    if (!outcome) co_return co_await ::weir::PassOn{static_cast<const ::weir::Error&>(outcome.error())}; \
    declaration = *std::move(outcome)

/// WEIR_CO_CHECK(peer.write_all(bytes)); the same where the value does not matter.
#define WEIR_CO_CHECK(...)                                                                              \
    do {                                                                                                \
        auto&& weir_awaited = (__VA_ARGS__);                                                            \
        const auto weir_outcome = co_await static_cast<decltype(weir_awaited)&&>(weir_awaited);         \
        if (!weir_outcome)                                                                              \
            co_return co_await ::weir::PassOn{static_cast<const ::weir::Error&>(weir_outcome.error())}; \
    } while (false)
