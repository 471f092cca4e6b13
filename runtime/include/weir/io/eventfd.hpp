// SPDX-License-Identifier: MIT
//
// An eventfd: a 64-bit counter in the kernel that tasks, threads and processes can wait for.
#pragma once

#include "weir/io/handle.hpp"

#include <cstdint>

namespace weir {

enum class EventFdMode : std::uint8_t {
    counter,    ///< a read takes the whole count
    semaphore,  ///< a read takes one
};

class EventFdRead;
class EventFdWrite;

/// The counter's descriptor. Reading and writing take no frame; each await makes one or two system calls.
class EventFd : public Handle {
public:
    EventFd() noexcept = default;

    /// Errors: no_files, no_memory.
    static Result<EventFd> create(EventFdMode mode = EventFdMode::counter,
                                  std::uint32_t initial = 0) noexcept;
    /// Takes over an eventfd in whatever mode it was made. Errors: wrong_kind, closed.
    static Result<EventFd> adopt(int fd) noexcept;

    /// Waits until the count is not zero and takes it (counter: all of it; semaphore: one). Errors: busy, cancelled,
    /// timed_out, no_descriptor. A count is never lost by an error.
    [[nodiscard]] EventFdRead read() noexcept;
    /// Adds `count`, below 2^64 - 1; waits while that would overflow. Errors: invalid, busy, cancelled, timed_out.
    [[nodiscard]] EventFdWrite write(std::uint64_t count) noexcept;
    /// Adds `count` without waiting, from any thread or signal handler. Errors: would_block, invalid.
    Result<void> post(std::uint64_t count = 1) noexcept;
};

class [[nodiscard]] EventFdRead : public Awaitable<EventFdRead> {
public:
    using Outcome = Result<std::uint64_t>;
    explicit EventFdRead(Handle& handle, bool external = false) noexcept
        : handle_(&handle), external_(external) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(EventFdRead&& read) noexcept;
        bool start(const Start& start) noexcept;
        Result<std::uint64_t> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"eventfd read", &visit_fd};
        static constexpr Pending::Kind external_kind{"remote wait", &visit_fd};
        Handle& handle_;
        bool external_;
        std::uint64_t count_ = 0;
    };

private:
    Handle* handle_;
    bool external_;  // other threads may post: the simulated backend has to know
};

class [[nodiscard]] EventFdWrite : public Awaitable<EventFdWrite> {
public:
    using Outcome = Result<void>;
    EventFdWrite(Handle& handle, std::uint64_t count) noexcept : handle_(&handle), count_(count) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(EventFdWrite&& write) noexcept;
        bool start(const Start& start) noexcept { return start_on(handle_, start); }
        Result<void> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"eventfd write", &visit_fd};
        Handle& handle_;
        std::uint64_t count_;
    };

private:
    Handle* handle_;
    std::uint64_t count_;
};

}  // namespace weir
