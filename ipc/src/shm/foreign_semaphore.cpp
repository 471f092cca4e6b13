// SPDX-License-Identifier: MIT
//
// A thread in sem_wait cannot be told to come back without a signal handler, which is the program's, or a post, which
// another process might take. So it waits in slices, while it waits at all.
#include "weir/ipc/shm/foreign_semaphore.hpp"

#include "sys/threads.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <unistd.h>

namespace weir::ipc {
namespace {

constexpr const char* opening = "foreign semaphore open";
constexpr long slice_ns = 100'000'000;
constexpr long second_ns = 1'000'000'000;

}  // namespace

Result<void> ForeignSemaphore::open(std::string_view name) noexcept {
    if (started_) return failure(Errc::busy, opening);
    if (name.size() > name_max) return failure(Errc::too_large, opening, name.size(), name_max);
    if (name.empty() || name.find('\0') != std::string_view::npos) return failure(Errc::invalid, opening);
    std::array<char, name_max + 1> text{};
    std::memcpy(text.data(), name.data(), name.size());
    WEIR_TRY(taken_, EventFd::create(EventFdMode::semaphore));
    semaphore_ = ::sem_open(text.data(), 0);
    if (semaphore_ == SEM_FAILED) {
        const int error = errno;
        semaphore_ = nullptr;
        taken_.close();
        return failure(Error::from_errno(opening, error));
    }
    wanted_ = false;
    ending_ = false;
    const int error = sys::start_thread(thread_, stack_bytes, thread_main, this);
    started_ = error == 0;
    if (started_) return {};
    close();
    return failure(Error::from_errno(opening, error));
}

void ForeignSemaphore::close() noexcept {
    if (started_) {
        {
            const std::lock_guard guard(lock_);
            ending_ = true;
        }
        changed_.notify_one();
        ::pthread_join(thread_, nullptr);
        started_ = false;
    }
    if (semaphore_ == nullptr) return;
    std::uint64_t token = 0;
    while (::read(taken_.fd(), &token, sizeof(token)) > 0) ::sem_post(semaphore_);
    taken_.close();
    ::sem_close(std::exchange(semaphore_, nullptr));
}

void* ForeignSemaphore::thread_main(void* self) noexcept {
    static_cast<ForeignSemaphore*>(self)->run_thread();
    return nullptr;
}

void ForeignSemaphore::run_thread() noexcept {
    std::unique_lock guard(lock_);
    for (;;) {
        changed_.wait(guard, [this] { return wanted_ || ending_; });
        if (ending_) return;
        guard.unlock();
        timespec until{};
        ::clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += slice_ns;
        if (until.tv_nsec >= second_ns) {
            until.tv_nsec -= second_ns;
            ++until.tv_sec;
        }
        const bool got = ::sem_clockwait(semaphore_, CLOCK_MONOTONIC, &until) == 0;
        guard.lock();
        if (!got) continue;
        wanted_ = false;
        static_cast<void>(taken_.post());  // it holds one token at most, or two
    }
}

void ForeignSemaphore::set_wanted(bool wanted) noexcept {
    {
        const std::lock_guard guard(lock_);
        wanted_ = wanted;
    }
    if (wanted) changed_.notify_one();
}

ForeignSemaphoreAcquire ForeignSemaphore::acquire() noexcept {
    return ForeignSemaphoreAcquire(*this);
}

Result<void> ForeignSemaphore::try_acquire() noexcept {
    constexpr const char* operation = "foreign semaphore try_acquire";
    if (semaphore_ == nullptr) return failure(Errc::closed, operation);
    std::uint64_t token = 0;
    if (::read(taken_.fd(), &token, sizeof(token)) > 0) return {};
    while (::sem_trywait(semaphore_) < 0) {
        if (errno != EINTR) return failure(Error::from_errno(operation, errno));
    }
    return {};
}

Result<void> ForeignSemaphore::post() noexcept {
    constexpr const char* operation = "foreign semaphore post";
    if (semaphore_ == nullptr) return failure(Errc::closed, operation);
    if (::sem_post(semaphore_) == 0) return {};
    if (errno == EOVERFLOW) return failure(Errc::overflow, operation, 1, SEM_VALUE_MAX);
    return failure(Error::from_errno(operation, errno));
}

Result<std::uint32_t> ForeignSemaphore::value() const noexcept {
    if (semaphore_ == nullptr) return failure(Errc::closed, "foreign semaphore value");
    int count = 0;
    ::sem_getvalue(semaphore_, &count);
    return static_cast<std::uint32_t>(count);
}

ForeignSemaphoreAcquire::Wait::Wait(ForeignSemaphoreAcquire&& acquire) noexcept
    : OperationWait(kind, Operation::Verb::read), semaphore_(*acquire.semaphore_) {
    data = &token_;
    size = sizeof(token_);
}

bool ForeignSemaphoreAcquire::Wait::start(const Start& start) noexcept {
    if (!bind_to(semaphore_.taken_, start)) return true;
    if (semaphore_.try_acquire()) return true;
    entry->external = true;  // the thread makes it ready
    if (submit_on(*entry, start)) return true;
    semaphore_.served_ = this;
    semaphore_.set_wanted(true);
    return false;
}

Result<void> ForeignSemaphoreAcquire::Wait::take() noexcept {
    // Between its end and this another task may have begun to wait: then the thread is that one's.
    if (semaphore_.served_ == this) {
        semaphore_.served_ = nullptr;
        semaphore_.set_wanted(false);
    }
    return completion();
}

}  // namespace weir::ipc
