// SPDX-License-Identifier: MIT
//
// Awaiting a POSIX semaphore that another program made with sem_open.
//
// Such a semaphore is a futex that no descriptor stands for, so a thread of its own waits for it, and only while a task
// does. A token that the thread took for an await that was stopped meanwhile is kept for the next acquire, and given
// back to the semaphore by close().
#pragma once

#include "weir/io/eventfd.hpp"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <pthread.h>
#include <semaphore.h>
#include <string_view>

namespace weir::ipc {

class ForeignSemaphoreAcquire;

/// One semaphore and its helper thread. Pinned; one task at a time may wait. Ends before its scheduler does.
class ForeignSemaphore {
public:
    static constexpr std::size_t name_max = 250;
    static constexpr std::size_t stack_bytes = std::size_t{64} * 1024;

    ForeignSemaphore() noexcept = default;
    ForeignSemaphore(const ForeignSemaphore&) = delete;
    ForeignSemaphore& operator=(const ForeignSemaphore&) = delete;
    ~ForeignSemaphore() { close(); }

    /// Opens the semaphore that sem_open knows as `name` ("/name"), and starts the thread, with all signals blocked. The
    /// system's libraries allocate here, and only here. Errors: busy (open already), not_found, denied, invalid,
    /// too_large (name), no_files, no_memory.
    Result<void> open(std::string_view name) noexcept;
    /// Ends the thread, which takes it up to 100 ms if a task was stopped just before, gives tokens back that were taken
    /// in vain, and closes. No await may be under way.
    void close() noexcept;

    /// Waits for a token and takes it; without one a deadline or stop ends it at once. Two wake-ups of the thread are
    /// 100 ms apart at least while it waits. Errors: busy, cancelled, timed_out, no_descriptor, closed. An error has
    /// lost no token.
    [[nodiscard]] ForeignSemaphoreAcquire acquire() noexcept;
    /// Takes a token if one is there. Errors: would_block, closed.
    Result<void> try_acquire() noexcept;
    /// Gives one. Errors: overflow (b: SEM_VALUE_MAX), closed.
    Result<void> post() noexcept;
    /// Tokens in the semaphore itself. Errors: closed.
    [[nodiscard]] Result<std::uint32_t> value() const noexcept;

private:
    friend class ForeignSemaphoreAcquire;

    static void* thread_main(void* self) noexcept;
    void run_thread() noexcept;
    void set_wanted(bool wanted) noexcept;

    sem_t* semaphore_ = nullptr;
    EventFd taken_;  // in semaphore mode: tokens that the thread took
    pthread_t thread_{};
    bool started_ = false;
    const void* served_ =
        nullptr;  // the await for which the thread was asked; the scheduler's thread alone knows

    std::mutex lock_;
    std::condition_variable changed_;
    bool wanted_ = false;
    bool ending_ = false;
};

class [[nodiscard]] ForeignSemaphoreAcquire : public Awaitable<ForeignSemaphoreAcquire> {
public:
    using Outcome = Result<void>;
    explicit ForeignSemaphoreAcquire(ForeignSemaphore& semaphore) noexcept : semaphore_(&semaphore) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(ForeignSemaphoreAcquire&& acquire) noexcept;
        bool start(const Start& start) noexcept;
        Result<void> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"foreign semaphore acquire", &visit_fd};
        ForeignSemaphore& semaphore_;
        std::uint64_t token_ = 0;
    };

private:
    ForeignSemaphore* semaphore_;
};

}  // namespace weir::ipc
