// SPDX-License-Identifier: MIT
//
// What keeps two threads apart for a moment, of the C library alone: std::mutex throws where it cannot lock, and so
// every program that links it would need the C++ library.
#pragma once

#include <pthread.h>

namespace weir {

/// For static storage; never destroyed.
class ThreadMutex {
public:
    constexpr ThreadMutex() noexcept = default;
    ThreadMutex(const ThreadMutex&) = delete;
    ThreadMutex& operator=(const ThreadMutex&) = delete;

    // Neither can fail for an ordinary mutex that is used in pairs.
    void lock() noexcept { ::pthread_mutex_lock(&mutex_); }
    void unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

private:
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

/// Holds a ThreadMutex while it lives.
class ThreadGuard {
public:
    explicit ThreadGuard(ThreadMutex& mutex) noexcept : mutex_(mutex) { mutex_.lock(); }
    ThreadGuard(const ThreadGuard&) = delete;
    ThreadGuard& operator=(const ThreadGuard&) = delete;
    ~ThreadGuard() { mutex_.unlock(); }

private:
    ThreadMutex& mutex_;
};

}  // namespace weir
