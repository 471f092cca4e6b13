// SPDX-License-Identifier: MIT
//
// A call waits on its slot's own eventfd, so nothing has to be shared between the awaits, and no task runs behind the
// user's back. A slot changes hands under the lock only: awaiting task -> queue -> thread -> awaiting task, or, if that
// has gone, back to the free list by whoever lets go last, the thread or the cancelled await.
#include "weir/io/worker.hpp"

#include "sys/threads.hpp"

#include <cerrno>
#include <sys/eventfd.h>
#include <unistd.h>

namespace weir {
namespace {

void post(int fd) noexcept {
    constexpr std::uint64_t one = 1;
    // It cannot be full: every post is read before the slot is used again.
    [[maybe_unused]] const auto written = ::write(fd, &one, sizeof(one));
}

}  // namespace

Result<void> Worker::start(const WorkerOptions& options) noexcept {
    constexpr const char* operation = "worker start";
    if (started_ > 0) return failure(Errc::busy, operation);
    free_ = nullptr;
    ending_ = false;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        WorkerSlot& slot = slots_[i];
        Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (!event) return failure(Error::from_errno(operation, errno));
        slot.done = Handle(std::move(event));
        slot.storage = storage_ + i * slot_bytes_;
        slot.state = WorkerSlot::State::free;
        slot.next = std::exchange(free_, &slot);
    }
    int error = 0;
    while (error == 0 && started_ < threads_.size()) {
        error = sys::start_thread(threads_[started_], options.stack_bytes, thread_main, this);
        if (error == 0) ++started_;
    }
    if (error == 0) return {};
    close();
    return failure(Error::from_errno(operation, error));
}

void Worker::close() noexcept {
    {
        const std::lock_guard guard(lock_);
        ending_ = true;
    }
    work_.notify_all();
    for (std::size_t i = 0; i < started_; ++i) ::pthread_join(threads_[i], nullptr);
    started_ = 0;
    WEIR_ASSERT(taken_ == 0 && "a worker is closed while a call is awaited");
    for (WorkerSlot& slot : slots_) slot.done.close();
}

std::size_t Worker::calls() noexcept {
    const std::lock_guard guard(lock_);
    return taken_;
}

void* Worker::thread_main(void* self) noexcept {
    static_cast<Worker*>(self)->run_thread();
    return nullptr;
}

void Worker::run_thread() noexcept {
    std::unique_lock guard(lock_);
    for (;;) {
        work_.wait(guard, [this] { return first_ != nullptr || ending_; });
        if (first_ == nullptr) return;
        WorkerSlot& slot = *first_;
        first_ = slot.next;
        if (first_ == nullptr) last_ = nullptr;
        slot.state = WorkerSlot::State::running;
        guard.unlock();
        slot.run(slot.call);
        // A result that nobody waits for may have a long way to go (a file to close): not under the lock.
        guard.lock();
        if (slot.abandoned_by > 0) {
            guard.unlock();
            slot.drop(slot.call);
            let_go(slot);
            guard.lock();
        } else {
            slot.state = WorkerSlot::State::finished;
            post(slot.done.fd());
        }
    }
}

WorkerSlot* Worker::take_slot() noexcept {
    const std::lock_guard guard(lock_);
    if (free_ == nullptr) return nullptr;
    WorkerSlot* const slot = free_;
    free_ = slot->next;
    slot->next = nullptr;
    slot->abandoned_by = 0;
    ++taken_;
    return slot;
}

void Worker::enqueue(WorkerSlot& slot) noexcept {
    {
        const std::lock_guard guard(lock_);
        slot.state = WorkerSlot::State::queued;
        slot.next = nullptr;
        (last_ == nullptr ? first_ : last_->next) = &slot;
        last_ = &slot;
    }
    work_.notify_one();
}

void Worker::put_free(WorkerSlot& slot) noexcept {
    slot.state = WorkerSlot::State::free;
    slot.next = std::exchange(free_, &slot);
    --taken_;
}

void Worker::let_go(WorkerSlot& slot) noexcept {
    const std::lock_guard guard(lock_);
    if (--slot.abandoned_by == 0) put_free(slot);
}

void Worker::free_slot(WorkerSlot& slot) noexcept {
    const std::lock_guard guard(lock_);
    put_free(slot);
}

// With the lock held. Takes a slot that no thread has begun out of the queue.
bool Worker::withdraw(WorkerSlot& slot) noexcept {
    if (slot.state != WorkerSlot::State::queued) return false;
    WorkerSlot* before = nullptr;
    for (WorkerSlot* each = first_; each != &slot; each = each->next) before = each;
    (before == nullptr ? first_ : before->next) = slot.next;
    if (last_ == &slot) last_ = before;
    return true;
}

WorkerWait::WorkerWait(Worker& worker, bool detachable, const Pending::Kind& kind_of) noexcept
    : Leaf(kind_of, stopped), Operation(Verb::read), worker_(worker), detachable_(detachable) {
    done = operation_done;
    data = &posts_;
    size = sizeof(posts_);
}

WorkerSlot* WorkerWait::prepare(const Start& start, std::size_t bytes) noexcept {
    if (worker_.started_ == 0) {
        error_ = Error{.code = Errc::closed, .operation = name()};
        return nullptr;
    }
    if (bytes > worker_.slot_bytes()) {
        error_ = Error{.code = Errc::too_large, .operation = name(), .a = bytes, .b = worker_.slot_bytes()};
        return nullptr;
    }
    slot_ = worker_.take_slot();
    if (slot_ == nullptr) {
        error_ = Error{.code = Errc::overflow,
                       .operation = "worker call, slots",
                       .a = worker_.slots() + 1,
                       .b = worker_.slots()};
        return nullptr;
    }
    const auto bound = slot_->done.entry_in(static_cast<Scheduler&>(start.context));
    if (!bound) {
        error_ = bound.error();
        error_->operation = name();
        give_back();
        return nullptr;
    }
    entry = *bound;
    entry->external = true;
    return slot_;
}

bool WorkerWait::launch(const Start& start) noexcept {
    // First the wait, which may fail, and then the call.
    const long submitted = static_cast<Scheduler&>(start.context).backend().submit(*this);
    if (submitted < 0) {
        error_ = Error::from_errno(name(), static_cast<int>(-submitted));
        if (slot_->drop != nullptr) slot_->drop(slot_->call);
        give_back();
        return true;
    }
    begin(start);
    worker_.enqueue(*slot_);
    return false;
}

void WorkerWait::give_back() noexcept {
    worker_.free_slot(*std::exchange(slot_, nullptr));
}

void WorkerWait::stopped(Stoppable& self) noexcept {
    auto& wait = static_cast<WorkerWait&>(self);
    {
        const std::lock_guard guard(wait.worker_.lock_);
        if (wait.worker_.withdraw(*wait.slot_)) {
            wait.withdrawn_ = true;  // nobody else knows of it any more, and nothing will be posted
        } else if (!wait.detachable_ || wait.slot_->state == WorkerSlot::State::finished) {
            return;  // it ends when the function does, or has already
        } else {
            wait.slot_->abandoned_by = 2;
        }
    }
    static_cast<Scheduler&>(wait.context()).backend().cancel(wait);
}

void WorkerWait::operation_done(Operation& operation) noexcept {
    auto& wait = static_cast<WorkerWait&>(operation);
    if (wait.result < 0) {
        wait.error_ = wait.result == -ECANCELED
                          ? Error{.code = Errc::cancelled, .operation = wait.name()}
                          : Error::from_errno(wait.name(), static_cast<int>(-wait.result));
        if (wait.withdrawn_) {
            if (wait.slot_->drop != nullptr) wait.slot_->drop(wait.slot_->call);
            wait.give_back();
        } else {
            // Its descriptor is quiet now: once the function has returned too, another call may have the slot.
            wait.worker_.let_go(*std::exchange(wait.slot_, nullptr));
        }
    }
    wait.complete();
}

}  // namespace weir
