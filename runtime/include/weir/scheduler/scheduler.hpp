// SPDX-License-Identifier: MIT
//
// The scheduler: one thread's tasks, timers and operations.
//
//     static constinit StaticScheduler<budget> scheduler;
//     auto outcome = scheduler.run(serve(scheduler));
//
// A turn fires what is due, runs what is ready (a bounded number of items), then hands the backend everything
// submitted and collects what is done, waiting only if nothing is ready. The scheduler belongs to the thread
// that first runs it.
#pragma once

#include "weir/backend/backend.hpp"
#include "weir/backend/choice.hpp"
#include "weir/coro/task.hpp"
#include "weir/scheduler/budget.hpp"
#include "weir/scheduler/spinner.hpp"
#include "weir/scheduler/turn_end.hpp"
#include "weir/scheduler/watch.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace weir {

/// A snapshot of what is used of each limit.
struct Usage {
    std::size_t frame_bytes;      ///< cut from the arena so far; never more than Budget::frame_bytes
    std::size_t frame_bytes_max;  ///< Budget::frame_bytes
    std::size_t frames;           ///< tasks alive
    std::size_t descriptors;
    std::size_t descriptors_peak;
    std::size_t descriptors_max;  ///< Budget::descriptors
    std::size_t links;            ///< slots of the link table that are taken, or still closing
    std::size_t links_peak;
    std::size_t links_max;   ///< Budget::links
    std::size_t timers;      ///< armed now
    std::size_t operations;  ///< that tasks wait for now
    std::uint64_t tasks_started;
    std::uint64_t spins;          ///< looks at shared memory before a sleep that found something
    std::uint64_t spins_in_vain;  ///< those that did not
    std::array<FrameUsage, FramePool::class_count> classes;
};

class BudgetRecorder;

/// How a scheduler begins.
struct StartOptions {
    BackendChoice backend = BackendChoice::automatic;
    /// Let $WEIR_BACKEND (automatic, io_uring, epoll, simulated) decide where `backend` is automatic, and keep a budget
    /// record (scheduler/budget_record.hpp) in the file that $WEIR_BUDGET names. Ignored in a program that gained
    /// privileges by exec (AT_SECURE).
    bool environment = true;
    SimulationOptions simulation{};
};

/// Called around the runtime's own code; tests arm their heap guard with it.
struct InsideHook {
    void (*enter)() noexcept = nullptr;
    void (*leave)() noexcept = nullptr;
};

/// What exists only while a root task does.
struct RootState {
    struct Item : ReadyItem {
        Item() noexcept : ReadyItem([](ReadyItem& self) noexcept { static_cast<Item&>(self).done = true; }) {}
        bool done = false;
    };
    Item item;
    StopScope scope;
    TaskState* task = nullptr;
    bool asked_to_stop = false;  // by request_stop()
};

/// One thread's tasks. start() and everything else is called in that thread; only a Remote is for others.
class Scheduler : public Context {
public:
    /// What follows from a budget. Found where the budget is a constant: what only some budgets take is linked only there.
    struct Plan {
        StorageLayout layout;
        bool (*cut_frames)(FramePool&, const Budget&) noexcept;  ///< null without Budget::frame_classes
        void (*run_item)(Scheduler& scheduler,
                         ReadyItem&) noexcept;  ///< null without Budget::hold_warning_ms
    };
    [[nodiscard]] static constexpr Plan plan_of(const Budget& budget) noexcept {
        Plan plan{.layout = storage_layout(budget), .cut_frames = nullptr, .run_item = nullptr};
        for (const FrameClass& wanted : budget.frame_classes) {
            if (wanted.count > 0) plan.cut_frames = cut_frames;
        }
        if (budget.hold_warning_ms > 0) plan.run_item = run_item_timed;
        return plan;
    }

    /// Storage of storage_layout(budget).size bytes, 16-aligned, that outlives the scheduler.
    constexpr Scheduler(const Budget& budget, std::byte* storage, const Plan& plan) noexcept
        : Context(storage, budget.frame_bytes / 16 * 16), budget_(budget), plan_(plan), storage_(storage) {}
    constexpr Scheduler(const Budget& budget, std::byte* storage) noexcept
        : Scheduler(budget, storage, plan_of(budget)) {}
    ~Scheduler();

    /// Chooses and starts the backend; run() does it with the defaults if nobody did. Starting twice does nothing.
    /// Errors: unsupported or denied (a backend by name), invalid ($WEIR_BACKEND, Budget::timer_slots), no_frame
    /// (Budget::frame_classes want more than Budget::frame_bytes), too_large (one of them is), no_files, no_memory, and
    /// for $WEIR_BUDGET those of opening a file, wrong_kind and mismatch. From here on nothing is allocated, but for
    /// threads. Sets SIGPIPE to be ignored if it was at its default, so that a lost peer is an error value.
    Result<void> start(const StartOptions& options = {}) noexcept;
    [[nodiscard]] bool started() const noexcept { return backend_ != nullptr; }

    /// Runs `root` to its end, one root at a time. The result is the task's, or an error of start(), or no_frame for a
    /// hollow task.
    template <class T>
    Result<T> run(Task<T> root) noexcept {
        std::optional<Result<T>> slot;
        const auto begun = begin_root(root, slot);
        if (!begun) return failure(begun.error());
        auto handle = root.release();
        run_root();
        handle.destroy();
        WEIR_ASSERT(slot.has_value());
        return std::move(*slot);
    }

    // --- driven by a foreign loop: poll poll_fd() for input until next_deadline(), then call run_ready()

    /// A root task that begin() took, and the place of its result.
    template <class T>
    class Root {
    public:
        Root() noexcept = default;
        Root(const Root&) = delete;
        Root& operator=(const Root&) = delete;
        /// The result, once run_ready() has said that the task does not live any more; frees the task.
        [[nodiscard]] std::optional<Result<T>> take() noexcept {
            // When the task has ended, the scheduler knows it still until its last item has run.
            if (!slot_ || (handle_ && scheduler_->knows(handle_.promise()))) return std::nullopt;
            if (handle_) std::exchange(handle_, nullptr).destroy();
            return std::exchange(slot_, std::nullopt);
        }
        ~Root() { WEIR_ASSERT(!handle_); }

    private:
        friend Scheduler;
        const Scheduler* scheduler_ = nullptr;
        typename Task<T>::Handle handle_;
        std::optional<Result<T>> slot_;
    };
    /// Queues `task` as the root, started by the next run_ready(). `root` lives until its take() gave the result.
    template <class T>
    Result<void> begin(Task<T> task, Root<T>& root) noexcept {
        const auto begun = begin_root(task, root.slot_);
        if (begun) {
            root.scheduler_ = this;
            root.handle_ = task.release();
        }
        return begun;
    }
    /// Runs a few turns without waiting; true while the root task lives. If tasks are still ready afterwards,
    /// next_deadline() lies in the past.
    Result<bool> run_ready() noexcept;
    /// A descriptor that polls readable when run_ready() has something to do; -1 on the simulated backend.
    [[nodiscard]] int poll_fd() const noexcept;
    /// When run_ready() has to be called at the latest; in the past if something is ready now, or left to be done at the
    /// end of a turn.
    [[nodiscard]] Instant next_deadline() const noexcept;

    /// Asks everything to stop: the root task's scope, and so all but what is shielded. From the scheduler's own
    /// thread; from elsewhere use a Remote. Does nothing without a root task.
    void request_stop() noexcept;

    // --- what it is and does

    /// "io_uring", "epoll", "simulated"; "none" before the start.
    [[nodiscard]] std::string_view backend_name() const noexcept;
    /// A sentence on which backend was chosen and why; after a failed start(), why not.
    [[nodiscard]] std::string_view backend_reason() const noexcept { return reason_.data(); }
    [[nodiscard]] const Budget& budget() const noexcept { return budget_; }
    /// What is used now, and the peaks. Makes no system call.
    [[nodiscard]] Usage usage() const noexcept;
    /// Writes the tree of live tasks as text to `fd` (blocking writes): function, what it awaits, since when, until
    /// when. Allocates nothing.
    void dump(int fd) const noexcept;
    void set_inside_hook(InsideHook hook) noexcept { inside_ = hook; }

    // --- for the layers above

    [[nodiscard]] Backend& backend() noexcept { return *backend_; }
    [[nodiscard]] DescriptorTable& descriptors() noexcept { return descriptors_; }
    [[nodiscard]] LinkTable& links() noexcept { return links_; }
    /// Looks at `watch` from now on, until it is unlinked: see scheduler/watch.hpp.
    void watch(Watch& watch) noexcept {
        watches_.push_back(watch);
        serve_watches_ = serve_watches;  // linked into those programs that watch anything
    }
    /// Lets a fraction of a microsecond pass for a task that expects to find more by then; false if it did not, since
    /// others are ready or the thread does not spin.
    bool linger() noexcept;
    /// Looks for so long whether `word` changes from `seen`, before a task suspends that waits for it; not at all where
    /// that has not paid lately, others are ready or the thread does not spin.
    [[nodiscard]] bool changes_soon(const Watch::Word& word, std::uint32_t seen) noexcept;
    /// Runs `end` once, when this turn's items have run. It is not linked yet.
    void at_turn_end(TurnEnd& end) noexcept { turn_ends_.push_back(end); }
    /// run_main's: when a stopped program outlives its grace, dump the tasks and exit(70) instead of going on.
    void exit_when_stuck() noexcept { exits_when_stuck_ = true; }

private:
    static constexpr std::size_t backend_storage_size = 384;

    template <class T>
    Result<void> begin_root(Task<T>& root, std::optional<Result<T>>& slot) noexcept {
        if (root.hollow()) return bind_root(nullptr);
        root.promise().set_slot(slot);
        return bind_root(&root.promise());
    }
    Result<void> bind_root(TaskState* task) noexcept;
    [[nodiscard]] bool knows(const TaskState& task) const noexcept {
        return root_ != nullptr && root_->task == &task;
    }
    void run_root() noexcept;
    Result<void> turn(bool may_wait) noexcept;
    [[nodiscard]] Instant time_of_turn() const noexcept;
    void run_items() noexcept;
    static void serve_watches(Scheduler& scheduler, bool may_wait) noexcept;
    void look_at_watches() noexcept;
    void know_spin_limits() noexcept {
        if (!knows_spin_limits_) [[unlikely]]
            find_spin_limits();
    }
    void find_spin_limits() noexcept;
    void spin() noexcept;
    void tell_watches_of_sleep() noexcept;
    static bool cut_frames(FramePool& frames, const Budget& budget) noexcept;
    static void run_item_timed(Scheduler& scheduler, ReadyItem& item) noexcept;
    [[nodiscard]] Instant grace_ends() const noexcept;
    [[nodiscard]] Instant wait_until() const noexcept;
    void finish_root() noexcept;
    void close_links() noexcept;
    void on_stuck() noexcept;

    void note_started() noexcept;
    void note_gone() noexcept;

    Scheduler* started_next_ = nullptr;  // in the list that debuggers look for

    Budget budget_;
    Plan plan_;
    std::byte* storage_;
    Backend* backend_ = nullptr;
    DescriptorTable descriptors_;
    LinkTable links_;
    List<Watches> watches_;
    void (*serve_watches_)(Scheduler&, bool may_wait) noexcept = nullptr;
    List<TurnEnds> turn_ends_;
    Spinner spinner_;                     // before the thread blocks
    Spinner brief_spinner_;               // before a task suspends
    BudgetRecorder* recorder_ = nullptr;  // where a budget record is kept
    RootState* root_ = nullptr;           // in root_storage_ while a root task lives
    alignas(RootState) std::array<std::byte, sizeof(RootState)> root_storage_{};
    InsideHook inside_;
    bool memory_started_ = false;
    bool knows_spin_limits_ = false;
    bool exits_when_stuck_ = false;
    std::array<char, 224> reason_{};
    alignas(16) std::array<std::byte, backend_storage_size> backend_storage_{};
};

/// Bytes that a StaticScheduler takes in all; the kernel's own memory for its queues is not counted.
[[nodiscard]] constexpr std::size_t footprint(const Budget& budget) noexcept {
    return sizeof(Scheduler) + storage_layout(budget).size;
}

/// A scheduler with its memory in one object that no code has to construct:
/// `static constinit weir::StaticScheduler<budget> scheduler;`
template <Budget fixed_budget>
    requires(TimerWheel::takes(fixed_budget.timer_slots))
class StaticScheduler : public Scheduler {
public:
    constexpr StaticScheduler() noexcept : Scheduler(fixed_budget, storage_) {}

private:
    alignas(16) std::byte storage_[storage_layout(fixed_budget).size]{};
};

}  // namespace weir
