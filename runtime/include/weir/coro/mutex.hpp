// SPDX-License-Identifier: MIT
//
// A mutex between tasks: for a section that contains awaits.
//
//     WEIR_CO_TRY(auto lock, mutex.lock());
#pragma once

#include "weir/coro/wait_list.hpp"

#include <utility>

namespace weir {

class Mutex;

/// Holds the mutex until it dies or unlock() is called. Move-only.
class [[nodiscard]] MutexLock {
public:
    MutexLock() noexcept = default;
    explicit MutexLock(Mutex& mutex) noexcept : mutex_(&mutex) {}
    MutexLock(MutexLock&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    MutexLock& operator=(MutexLock&& other) noexcept {
        if (this != &other) {
            unlock();
            mutex_ = std::exchange(other.mutex_, nullptr);
        }
        return *this;
    }
    ~MutexLock() { unlock(); }
    /// Hands the mutex to the first who waits, who is queued. Does nothing if it is not held.
    void unlock() noexcept;

private:
    Mutex* mutex_ = nullptr;
};

/// First come, first served. Not recursive: locking it twice in one task waits for ever (or its deadline). Belongs to
/// one scheduler's thread; asserts if it dies locked. Waiting takes no frame and makes no system call.
class Mutex {
public:
    class Wait;
    class [[nodiscard]] Description : public Awaitable<Description> {
    public:
        using Outcome = Result<MutexLock>;
        using Wait = Mutex::Wait;
        explicit Description(Mutex& mutex) noexcept : mutex_(&mutex) {}

    private:
        friend Mutex::Wait;
        Mutex* mutex_;
    };

    class Wait : public Waiter {
    public:
        explicit Wait(Description&& description) noexcept : Waiter(kind), mutex_(description.mutex_) {}
        bool start(const Start& start) noexcept {
            if (!std::exchange(mutex_->locked_, true)) return true;
            join(mutex_->waiters_, start);
            return false;
        }
        Result<MutexLock> take() noexcept {
            const auto got = outcome();
            if (!got) return failure(got.error());
            return MutexLock(*mutex_);
        }

    private:
        static constexpr Kind kind{"mutex lock", nullptr};
        Mutex* mutex_;
    };

    ~Mutex() { WEIR_ASSERT(!locked_); }

    /// The value holds the mutex. Errc::cancelled or timed_out are its only errors; under a stop a free mutex is
    /// refused too.
    [[nodiscard]] Description lock() noexcept { return Description(*this); }
    [[nodiscard]] bool locked() const noexcept { return locked_; }

private:
    friend MutexLock;
    void unlock() noexcept {
        // Handed over without being unlocked in between, so that nobody overtakes.
        if (waiters_.empty()) {
            locked_ = false;
        } else {
            first_waiter(waiters_).grant();
        }
    }

    WaitList waiters_;
    bool locked_ = false;
};

inline void MutexLock::unlock() noexcept {
    if (mutex_ != nullptr) std::exchange(mutex_, nullptr)->unlock();
}

}  // namespace weir
