// SPDX-License-Identifier: MIT
#include "weir/scheduler/scheduler.hpp"

#include "weir/core/report.hpp"

#include "backend/choice.hpp"
#include "core/thread_mutex.hpp"
#include "scheduler/budget_recorder.hpp"
#include "sys/processors.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>
#include <unistd.h>

namespace weir {
namespace {

// A turn's limits: often enough into the kernel, seldom enough that a system call is shared by many items.
constexpr int items_max = 256;
constexpr std::size_t timers_max = 512;
constexpr int foreign_turns_max = 4;
// Looks at shared memory between two at the clock.
constexpr int looks_per_clock = 8;
// A look takes the line that the peer is about to write to: more often than this holds the peer up.
constexpr int hints_per_look = 4;
// What a task may wait in its own time, without others getting theirs.
constexpr Duration brief_span = std::chrono::nanoseconds(300);

void ignore_sigpipe() noexcept {
    struct sigaction now {};
    if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) {
        now.sa_handler = SIG_IGN;
        ::sigaction(SIGPIPE, &now, nullptr);
    }
}

constinit ThreadMutex started_lock;  // of the list of started schedulers

class Inside {
public:
    explicit Inside(const InsideHook& hook) noexcept : hook_(hook) {
        if (hook_.enter != nullptr) hook_.enter();
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() {
        if (hook_.leave != nullptr) hook_.leave();
    }

private:
    const InsideHook& hook_;
};

}  // namespace

// All that have started and live, for tools/gdb/weir.py, which finds them by this name.
extern constinit Scheduler* started_schedulers;
constinit Scheduler* started_schedulers = nullptr;

void Scheduler::note_started() noexcept {
    const ThreadGuard guard(started_lock);
    started_next_ = std::exchange(started_schedulers, this);
}

void Scheduler::note_gone() noexcept {
    const ThreadGuard guard(started_lock);
    for (Scheduler** link = &started_schedulers; *link != nullptr; link = &(*link)->started_next_) {
        if (*link != this) continue;
        *link = started_next_;
        return;
    }
}

Scheduler::~Scheduler() {
    note_gone();
    // exit() in a task destroys static schedulers under their running tasks; the kernel tidies up after those.
    if (root_ != nullptr) {
        if (recorder_ != nullptr) recorder_->end_in_the_middle();
        return;
    }
    if (recorder_ != nullptr) recorder_->end();
    if (backend_ != nullptr) backend_->end();
}

Result<void> Scheduler::start(const StartOptions& options) noexcept {
    if (backend_ != nullptr) return {};
    BackendChoice choice = options.backend;
    if (choice == BackendChoice::automatic && options.environment) {
        // None where privileges were gained by exec.
        if (const char* const named = ::secure_getenv("WEIR_BACKEND"); named != nullptr) {
            const auto wanted = backend_choice(named, SIZE_MAX);
            if (!wanted) {
                explain(reason_, "WEIR_BACKEND names no backend: ", named, nullptr);
                return failure(Errc::invalid, "WEIR_BACKEND (automatic, io_uring, epoll or simulated)");
            }
            choice = *wanted;
        }
    }
    if (!TimerWheel::takes(budget_.timer_slots)) {
        return failure(Errc::invalid, "Budget::timer_slots", budget_.timer_slots);
    }
    if (options.environment && recorder_ == nullptr) {
        WEIR_TRY(recorder_, BudgetRecorder::begin_where_asked(*this));
    }
    const StorageLayout& layout = plan_.layout;
    if (!memory_started_) {
        if (plan_.cut_frames != nullptr && !plan_.cut_frames(frames, budget_))
            return failure(frames.refusal("Budget::frame_classes"));
        void* const entries_storage = storage_ + layout.descriptors;  // 16-aligned by storage_layout()
        auto* const entries = static_cast<DescriptorEntry*>(entries_storage);
        const std::size_t link_entries = LinkTable::entries_of(budget_.links);
        const std::size_t entries_count = budget_.descriptors + link_entries;
        for (std::size_t i = 0; i < entries_count; ++i) ::new (entries + i) DescriptorEntry;
        descriptors_.start({entries, entries_count}, link_entries);
        void* const slots_storage = storage_ + layout.links;
        auto* const slots = static_cast<LinkSlot*>(slots_storage);
        links_.start(*this, {slots, budget_.links}, {entries + budget_.descriptors, link_entries});
        memory_started_ = true;
    }
    WEIR_ASSERT(backend_size_max() <= backend_storage_.size());
    const BackendNeeds needs{descriptors_, budget_.submissions, &options.simulation};
    const auto made = make_backend(choice, backend_storage_, needs, reason_);
    if (!made) return failure(made.error());
    backend_ = *made;
    simulated_ = backend_->clock() != nullptr;
    turn_time = simulated_ ? *backend_->clock() : MonotonicClock::now();
    timers.start({storage_ + layout.timers, layout.size - layout.timers}, budget_.timer_slots, turn_time);
    ignore_sigpipe();
    note_started();
    return {};
}

Result<void> Scheduler::bind_root(TaskState* task) noexcept {
    if (task == nullptr) return failure(frames.refusal("root task"));
    if (auto begun = start(); !begun) return begun;
    WEIR_ASSERT(root_ == nullptr);
    root_ = ::new (root_storage_.data()) RootState;
    root_->task = task;
    task->bind(*this, root_->scope, root_->item, nullptr);
    task->begin_later();
    return {};
}

void Scheduler::run_root() noexcept {
    const Inside inside(inside_);
    limit_stack(budget_.stack_bytes);
    if (recorder_ != nullptr) recorder_->mark_stack(stack_floor());
    while (!root_->item.done) {
        const auto turned = turn(true);
        if (turned) continue;
        if (turned.error() != Errc::stalled || root_->scope.stopped()) {
            // The backend cannot wait any more, or a simulated program ignores its stop. Its tasks can neither
            // go on nor be destroyed.
            dump(STDERR_FILENO);
            report(turned.error());
            WEIR_ASSERT(false && "the backend failed");
        }
        report("weir: nothing can wake these tasks; they are asked to stop");
        dump(STDERR_FILENO);
        root_->scope.request_stop();
    }
    finish_root();
}

void Scheduler::finish_root() noexcept {
    close_links();
    if (recorder_ != nullptr) recorder_->note_end_of_root();
    if (root_->asked_to_stop) stop_ended();
    std::exchange(root_, nullptr)->~RootState();
}

// Those that were closed while the root task ended still have operations in flight, whose descriptors are open. They
// were asked to end: it takes one more entry into the kernel.
void Scheduler::close_links() noexcept {
    for (links_.free_closed(); links_.closing(); links_.free_closed()) {
        if (!backend_->wait(never)) return;
    }
}

Result<bool> Scheduler::run_ready() noexcept {
    if (root_ == nullptr) return false;
    const Inside inside(inside_);
    limit_stack(budget_.stack_bytes);
    if (recorder_ != nullptr && !recorder_->marked_stack()) recorder_->mark_stack(stack_floor());
    // A few turns, so that what just arrived is also acted on; not until nothing is ready, since tasks that
    // keep each other busy would never let the foreign loop have its turn.
    for (int turns = 0; turns < foreign_turns_max; ++turns) {
        const auto turned = turn(false);
        if (!turned) return failure(turned.error());
        if (root_->item.done) break;
        // The foreign loop will block if nothing is ready.
        if (ready.empty()) tell_watches_of_sleep();
        if (ready.empty() && !backend_->holds_back()) break;
    }
    if (!root_->item.done) return true;
    finish_root();
    return false;
}

int Scheduler::poll_fd() const noexcept {
    return backend_ != nullptr ? backend_->poll_fd() : -1;
}

Instant Scheduler::next_deadline() const noexcept {
    const bool has_to_run =
        !ready.empty() || !turn_ends_.empty() || (backend_ != nullptr && backend_->holds_back());
    return has_to_run ? turn_time : timers.next();
}

void Scheduler::request_stop() noexcept {
    if (root_ == nullptr) return;
    if (!std::exchange(root_->asked_to_stop, true)) stop_began();
    root_->scope.request_stop();
}

Instant Scheduler::time_of_turn() const noexcept {
    if (simulated_) return *backend_->clock();
    // Timers and a grace period want it exact. Without them it only tells since when a task waits.
    if (timers.count() > 0 || stopping_since() != never) return MonotonicClock::now();
    const Instant recent = MonotonicClock::recent();
    return to_ns(recent) > to_ns(turn_time) ? recent : turn_time;
}

Result<void> Scheduler::turn(bool may_wait) noexcept {
    turn_time = time_of_turn();
    links_.free_closed();
    timers.fire_due(turn_time, timers_max);
    run_items();
    while (!turn_ends_.empty()) static_cast<TurnEnd&>(turn_ends_.pop_front()).run();
    if (root_->item.done) return {};
    if (to_ns(turn_time) >= to_ns(grace_ends())) on_stuck();
    if (!watches_.empty()) serve_watches_(*this, may_wait);
    const bool waits = may_wait && ready.empty();
    if (!waits && (backend_->in_flight() == 0 || (may_wait && backend_->quiet()))) return {};
    return backend_->wait(waits ? wait_until() : Instant::min());
}

void Scheduler::run_items() noexcept {
    for (turn_left = items_max; turn_left > 0; --turn_left) {
        ReadyItem* const item = ready.pop();
        if (item == nullptr) return;
        if (plan_.run_item == nullptr) [[likely]] {
            item->run();
        } else {
            plan_.run_item(*this, *item);
        }
    }
}

void Scheduler::serve_watches(Scheduler& scheduler, bool may_wait) noexcept {
    scheduler.look_at_watches();
    if (may_wait && scheduler.ready.empty()) scheduler.spin();
    if (may_wait && scheduler.ready.empty()) scheduler.tell_watches_of_sleep();
}

void Scheduler::find_spin_limits() noexcept {
    // In one process nobody could change a word meanwhile, and on one processor nobody would get to.
    const bool spins = !simulated_ && budget_.spin_us > 0 && !sys::has_one_processor();
    spinner_.set_limit(spins ? std::chrono::microseconds(budget_.spin_us) : Duration::zero());
    brief_spinner_.set_limit(spins ? brief_span : Duration::zero());
    knows_spin_limits_ = true;
}

void Scheduler::look_at_watches() noexcept {
    watches_.for_each([](auto& node) { static_cast<Watch&>(node).look(); });
}

void Scheduler::spin() noexcept {
    know_spin_limits();
    if (!spinner_.worthwhile()) return;
    const Instant until = std::min(wait_until(), after(MonotonicClock::now(), spinner_.limit()));
    do {
        for (int i = 0; i < looks_per_clock; ++i) {
            look_at_watches();
            if (!ready.empty()) return spinner_.found();
            for (int k = 0; k < hints_per_look; ++k) sys::spin_hint();
        }
    } while (MonotonicClock::now() < until);
    spinner_.in_vain();
}

bool Scheduler::linger() noexcept {
    if (!ready.empty()) return false;
    know_spin_limits();
    if (brief_spinner_.limit() <= Duration::zero()) return false;
    const Instant until = MonotonicClock::now() + brief_spinner_.limit();
    do {
        for (int k = 0; k < hints_per_look; ++k) sys::spin_hint();
    } while (MonotonicClock::now() < until);
    return true;
}

bool Scheduler::changes_soon(const Watch::Word& word, std::uint32_t seen) noexcept {
    if (!ready.empty()) return false;
    know_spin_limits();
    if (!brief_spinner_.worthwhile()) return false;
    const Instant until = MonotonicClock::now() + brief_spinner_.limit();
    do {
        for (int i = 0; i < looks_per_clock; ++i) {
            if (word.load(std::memory_order_relaxed) != seen) {
                brief_spinner_.found();
                return true;
            }
            sys::spin_hint();
        }
    } while (MonotonicClock::now() < until);
    brief_spinner_.in_vain();
    return false;
}

void Scheduler::tell_watches_of_sleep() noexcept {
    watches_.for_each([](auto& node) { static_cast<Watch&>(node).fall_asleep(); });
}

bool Scheduler::cut_frames(FramePool& frames, const Budget& budget) noexcept {
    return frames.cut_in_advance(budget.frame_classes);
}

void Scheduler::run_item_timed(Scheduler& scheduler, ReadyItem& item) noexcept {
    scheduler.resumed = "(runtime)";
    const Instant before = MonotonicClock::now();
    item.run();
    const std::int64_t held_ms = to_ms(MonotonicClock::now() - before);
    if (held_ms < static_cast<std::int64_t>(scheduler.budget_.hold_warning_ms)) return;
    char line[160];
    const int size =
        std::snprintf(line, sizeof(line), "weir: task %s held the thread for %lld ms (limit %u)",
                      scheduler.resumed, static_cast<long long>(held_ms), scheduler.budget_.hold_warning_ms);
    if (size > 0) report(std::string_view(line));
}

// Asked in every turn: a stopped program may also hang by never waiting.
Instant Scheduler::grace_ends() const noexcept {
    if (stopping_since() == never || !exits_when_stuck_ || budget_.grace_ms == 0) return never;
    return stopping_since() + std::chrono::milliseconds(budget_.grace_ms);  // 50 days at most
}

Instant Scheduler::wait_until() const noexcept {
    // As numbers, here and in each turn: g++ -Os calls a function to compare two instants.
    const Instant timer = timers.next();
    const Instant grace = grace_ends();
    return to_ns(timer) < to_ns(grace) ? timer : grace;
}

void Scheduler::on_stuck() noexcept {
    if (recorder_ != nullptr) recorder_->end_in_the_middle();
    dump(STDERR_FILENO);
    report(Error{.code = Errc::stuck, .operation = "run_main", .a = frames.live()});
    ::_exit(70);  // EX_SOFTWARE; the tasks can be neither finished nor destroyed
}

std::string_view Scheduler::backend_name() const noexcept {
    return backend_ != nullptr ? backend_->name() : "none";
}

Usage Scheduler::usage() const noexcept {
    Usage usage{
        .frame_bytes = frames.cut_size(),
        .frame_bytes_max = frames.capacity(),
        .frames = frames.live(),
        .descriptors = descriptors_.count(),
        .descriptors_peak = descriptors_.peak(),
        .descriptors_max = descriptors_.capacity(),
        .links = links_.count(),
        .links_peak = links_.peak(),
        .links_max = links_.capacity(),
        .timers = timers.count(),
        .operations = backend_ != nullptr ? backend_->in_flight() - links_.watching() : 0,
        .tasks_started = tasks_started,
        .spins = spinner_.found_count(),
        .spins_in_vain = spinner_.in_vain_count(),
        .classes = {},
    };
    for (std::size_t i = 0; i < usage.classes.size(); ++i) usage.classes[i] = frames.usage(i);
    return usage;
}

}  // namespace weir
