// SPDX-License-Identifier: MIT
//
// Calls that block (fsync, an ioctl, a look-up of a host name), made in threads of their own.
//
//     static weir::StaticWorker<2, 8> worker;                          // two threads, eight calls at a time
//     if (const auto started = worker.start(); !started) …               // once, before the tasks
//     const auto synced = co_await worker.call([fd] { return ::fsync(fd); });
//
// Threads and slots are made at the start; a call takes a slot until its function has returned, and none is left is an
// error, not a wait. There are two ways to call, and they differ in what a stop or a deadline does:
//
//   - call(f) keeps f in the awaiting task's frame. f may use that task's memory, so once a thread has begun it the
//     await ends when f does, whatever stops it meanwhile. A call that no thread has begun yet is withdrawn.
//   - call_detachable(f) keeps a copy of f in the slot. A stop or deadline ends the await at once; f runs on, its result
//     is dropped, and only then is the slot free again. f must not refer to anything that may end before it.
//
// On the simulated backend the threads are real, and their time is too: the simulation waits for them only when no timer
// is left, so a simulated deadline passes at once.
#pragma once

#include "weir/io/handle.hpp"

#include <array>
#include <condition_variable>
#include <mutex>
#include <new>
#include <optional>
#include <pthread.h>
#include <type_traits>

namespace weir {

/// Of a StaticWorker that does not say otherwise: what resolve() needs, the largest call that this library makes.
inline constexpr std::size_t worker_slot_bytes = 640;

struct WorkerOptions {
    /// Of each thread, address space that the kernel fills as it is used; the least that the system allows is taken.
    std::size_t stack_bytes = std::size_t{256} * 1024;
};

/// One call's place. All but `done` belongs to the worker's lock.
struct WorkerSlot {
    enum class State : std::uint8_t { free, queued, running, finished };

    Handle done;  // an eventfd, posted when the function has returned
    WorkerSlot* next = nullptr;
    void (*run)(void* call) noexcept = nullptr;
    void (*drop)(void* call) noexcept = nullptr;  // of a detachable call: destroys it
    void* call = nullptr;
    State state = State::free;
    std::uint8_t abandoned_by =
        0;  // of an abandoned call: who still has to let go of it, the thread and the await
    std::byte* storage = nullptr;
};

template <class F, bool detachable>
class WorkerCall;

/// The threads and the calls of one scheduler's tasks; StaticWorker gives it its memory. Pinned; ends before the
/// scheduler does.
class Worker {
public:
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Makes threads and slots; all signals are blocked in the threads. Errors: no_files, no_memory, invalid (a stack
    /// that the system refuses), busy (started already). The system's thread library allocates here, and only here.
    Result<void> start(const WorkerOptions& options = {}) noexcept;
    /// Lets every call that was begun or queued end, and joins the threads. It blocks meanwhile, and no await of a call
    /// may be under way. The destructor does the same. A closed worker can be started again.
    void close() noexcept;

    /// Runs `f()` in a thread and gives its result. See the head of this file for what a stop does to it. Takes no frame
    /// and no heap; three system calls in this thread. Outcome: Result<R>, or what f returns if that is a Result.
    /// Errors: overflow (no slot is left; the slots), closed (not started), cancelled, timed_out, no_descriptor.
    template <class F>
    [[nodiscard]] WorkerCall<F, false> call(F f) noexcept;
    /// The same with a copy of `f` of at most slot_bytes (checked where the worker's type is known, else too_large), so
    /// that the await can end before f does.
    template <class F>
    [[nodiscard]] WorkerCall<F, true> call_detachable(F f) noexcept;

    [[nodiscard]] std::size_t slots() const noexcept { return slots_.size(); }
    /// Slots taken now.
    [[nodiscard]] std::size_t calls() noexcept;
    /// Bytes that a detachable call and its result may take together.
    [[nodiscard]] std::size_t slot_bytes() const noexcept { return slot_bytes_; }

protected:
    Worker(std::span<pthread_t> threads, std::span<WorkerSlot> slots, std::byte* storage,
           std::size_t slot_bytes) noexcept
        : threads_(threads), slots_(slots), storage_(storage), slot_bytes_(slot_bytes) {}
    ~Worker() { WEIR_ASSERT(started_ == 0); }

private:
    friend class WorkerWait;

    static void* thread_main(void* self) noexcept;
    void run_thread() noexcept;
    [[nodiscard]] WorkerSlot* take_slot() noexcept;
    void enqueue(WorkerSlot& slot) noexcept;
    void free_slot(WorkerSlot& slot) noexcept;
    void put_free(WorkerSlot& slot) noexcept;  // with the lock held
    void let_go(WorkerSlot& slot) noexcept;
    [[nodiscard]] bool withdraw(WorkerSlot& slot) noexcept;

    std::span<pthread_t> threads_;
    std::span<WorkerSlot> slots_;
    std::byte* storage_;
    std::size_t slot_bytes_;
    std::size_t started_ = 0;  // threads

    std::mutex lock_;
    std::condition_variable work_;
    WorkerSlot* free_ = nullptr;
    WorkerSlot* first_ = nullptr;
    WorkerSlot* last_ = nullptr;
    std::size_t taken_ = 0;
    bool ending_ = false;
};

/// What the awaits of all calls share.
class WorkerWait : public Leaf, protected Operation {
public:
    void refuse(Errc code) noexcept { error_ = Error{.code = code, .operation = name()}; }

protected:
    static constexpr Pending::Kind kind_call{"worker call", nullptr};
    WorkerWait(Worker& worker, bool detachable, const Pending::Kind& kind_of) noexcept;
    ~WorkerWait() = default;

    /// Takes a slot; null, with the error set, if it cannot be.
    [[nodiscard]] WorkerSlot* prepare(const Start& start, std::size_t bytes) noexcept;
    /// Hands the prepared slot to the threads: true if it is over.
    bool launch(const Start& start) noexcept;
    [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
    [[nodiscard]] WorkerSlot* slot() const noexcept { return slot_; }
    void give_back() noexcept;
    void fail_with(const Error& error) noexcept { error_ = error; }

private:
    static void stopped(Stoppable& self) noexcept;
    static void operation_done(Operation& operation) noexcept;

    Worker& worker_;
    WorkerSlot* slot_ = nullptr;
    std::uint64_t posts_ = 0;
    bool detachable_;
    bool withdrawn_ = false;
    std::optional<Error> error_;
};

template <class T>
struct WorkerOutcome {
    using Type = Result<T>;
};
template <class T>
struct WorkerOutcome<Result<T>> {
    using Type = Result<T>;
};

/// A function and the place of its result.
template <class F>
struct CallState {
    using Value = std::invoke_result_t<F&>;
    using Outcome = typename WorkerOutcome<Value>::Type;
    explicit CallState(const F& function) noexcept : f(function) {}

    static void run(void* self) noexcept {
        auto& state = *static_cast<CallState*>(self);
        if constexpr (std::is_void_v<Value>) {
            state.f();
            state.result.emplace();
        } else {
            state.result.emplace(state.f());
        }
    }
    static void drop(void* self) noexcept { static_cast<CallState*>(self)->~CallState(); }

    F f;
    std::optional<Outcome> result;
};

template <class F, bool detachable>
class [[nodiscard]] WorkerCall : public Awaitable<WorkerCall<F, detachable>> {
    static_assert(std::is_trivially_copyable_v<F>,
                  "a worker's function is copied into place: capture plain values");
    using State = CallState<F>;

public:
    using Outcome = typename State::Outcome;
    WorkerCall(Worker& worker, const F& f) noexcept : worker_(&worker), f_(f) {}

    class Wait : public WorkerWait {
    public:
        explicit Wait(WorkerCall&& call, const Pending::Kind& kind_of = kind_call) noexcept
            : WorkerWait(*call.worker_, detachable, kind_of), own_(call.f_) {}

        bool start(const Start& start) noexcept {
            WorkerSlot* const slot = prepare(start, detachable ? sizeof(State) : 0);
            if (slot == nullptr) return true;
            slot->run = &State::run;
            if constexpr (detachable) {
                static_assert(alignof(State) <= 16);
                slot->call = ::new (static_cast<void*>(slot->storage)) State(own_);
                slot->drop = &State::drop;
            } else {
                slot->call = &own_;
                slot->drop = nullptr;
            }
            return launch(start);
        }
        Outcome take() noexcept {
            if (error()) return failure(*error());
            auto& state = *static_cast<State*>(slot()->call);
            Outcome outcome = std::move(*state.result);
            if constexpr (detachable) State::drop(&state);
            give_back();
            return outcome;
        }

    private:
        std::conditional_t<detachable, F, State> own_;
    };

private:
    Worker* worker_;
    F f_;
};

template <class F>
WorkerCall<F, false> Worker::call(F f) noexcept {
    return WorkerCall<F, false>(*this, f);
}
template <class F>
WorkerCall<F, true> Worker::call_detachable(F f) noexcept {
    return WorkerCall<F, true>(*this, f);
}

/// A worker with its memory. `slot_size` bytes for each detachable call and its result.
template <std::size_t threads, std::size_t slots_max, std::size_t slot_size = worker_slot_bytes>
class StaticWorker : public Worker {
    static_assert(threads > 0 && slots_max > 0);
    static constexpr std::size_t rounded = (slot_size + 15) / 16 * 16;

public:
    StaticWorker() noexcept : Worker(threads_of_, slots_of_, bytes_, rounded) {}
    ~StaticWorker() { close(); }  // before its memory goes

private:
    std::array<pthread_t, threads> threads_of_{};
    std::array<WorkerSlot, slots_max> slots_of_{};
    alignas(16) std::byte bytes_[rounded * slots_max]{};
};

}  // namespace weir
