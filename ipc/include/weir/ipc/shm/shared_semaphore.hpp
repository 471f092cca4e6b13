// SPDX-License-Identifier: MIT
//
// A counting semaphore between processes that trust each other.
//
// The count is the kernel's: an eventfd for an anonymous semaphore, and for a named one a FIFO in the runtime directory,
// in which each token is a byte. So taking and giving are single system calls, nothing lies in memory that a killed
// process could leave half written, and whoever is killed while it waits has taken neither a token nor a wake-up. (A
// count in shared memory would need one word that everybody writes, and a bell besides.)
//
// A token in the hands of a process that is killed is gone: the kernel does not know what it was for.
//
//     WEIR_CO_TRY(auto free, SharedSemaphore::open(directory, "press/free", {.initial = 2}));
//     WEIR_CO_CHECK(free.acquire().within(1s));
//     …
//     WEIR_CO_CHECK(free.post());
#pragma once

#include "weir/io/handle.hpp"
#include "weir/ipc/names/runtime_directory.hpp"

#include <cstdint>
#include <sys/types.h>

namespace weir::ipc {

/// How a named semaphore is set up, by whoever opens it while nobody else has it open.
struct SharedSemaphoreOptions {
    std::uint32_t initial = 0;  ///< tokens
    mode_t mode = 0600;         ///< of the FIFO, exactly; both reading and writing are needed
    std::int64_t owner = -1;    ///< uid; -1: as it comes
    std::int64_t group = -1;    ///< gid; -1: as it comes
};

class SharedSemaphoreAcquire;

/// One process's handle of it. Move-only; one task at a time may wait on it.
class SharedSemaphore : public Handle {
public:
    /// Tokens that one post() of a named semaphore, and its first count, can give at most.
    static constexpr std::uint32_t post_max = 4'096;

    SharedSemaphore() noexcept = default;

    /// An anonymous semaphore: children inherit its fd(), others get it by descriptor passing, and adopt() it. It counts
    /// to 2^64 - 2. Errors: no_files, no_memory.
    static Result<SharedSemaphore> create(std::uint32_t initial = 0) noexcept;
    /// Takes over an eventfd, which was made in semaphore mode. Errors: wrong_kind, closed.
    static Result<SharedSemaphore> adopt(int fd) noexcept;

    /// Opens DIRECTORY/NAME.sem, made if it is not there. The count lives as long as any process has it open; who opens
    /// it first sets the initial one, and owner, group and mode if it is theirs, and so does the next one after a crash
    /// of all. It holds at least 4,096 tokens, and 61,440 where the system gives a pipe its usual size. Waits a moment
    /// (up to 100 ms) for another process that is just setting the count. Errors: in_use (something else lies there, or
    /// another user's who is neither root nor Options::owner; or that process does not come to an end), too_large
    /// (path; initial), not_found, denied, no_files.
    static Result<SharedSemaphore> open(const RuntimeDirectory& directory, const Name& name,
                                        const SharedSemaphoreOptions& options = {}) noexcept;
    /// Removes the name; who has it open goes on using it. Errors: not_found, denied, too_large.
    static Result<void> unlink(const RuntimeDirectory& directory, const Name& name) noexcept;

    /// Waits for a token and takes it. An error has taken none. Errors: busy, cancelled, timed_out, no_descriptor, closed.
    [[nodiscard]] SharedSemaphoreAcquire acquire() noexcept;
    /// Takes a token if one is there. Errors: would_block (none), closed.
    Result<void> try_acquire() noexcept;
    /// Gives tokens and wakes waiters; never waits. All or none. Errors: overflow (what was to be added, and the limit),
    /// too_large (more than post_max, named ones), closed.
    Result<void> post(std::uint32_t count = 1) noexcept;
    /// Tokens that are there now. Of an anonymous one by /proc. Errors: closed, not_found (no /proc), unsupported (a
    /// /proc that does not tell), denied, no_files.
    [[nodiscard]] Result<std::uint64_t> value() const noexcept;

private:
    friend class SharedSemaphoreAcquire;

    SharedSemaphore(Fd fd, bool named) noexcept : Handle(std::move(fd)), named_(named) {}
    [[nodiscard]] std::size_t token_size() const noexcept { return named_ ? 1 : sizeof(std::uint64_t); }

    bool named_ = false;
};

class [[nodiscard]] SharedSemaphoreAcquire : public Awaitable<SharedSemaphoreAcquire> {
public:
    using Outcome = Result<void>;
    explicit SharedSemaphoreAcquire(SharedSemaphore& semaphore) noexcept : semaphore_(&semaphore) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(SharedSemaphoreAcquire&& acquire) noexcept
            : OperationWait(kind, Operation::Verb::read), semaphore_(*acquire.semaphore_) {
            data = &token_;
            size = semaphore_.token_size();
        }
        bool start(const Start& start) noexcept { return start_on(semaphore_, start); }
        Result<void> take() noexcept { return completion(); }

    private:
        static constexpr Pending::Kind kind{"shared semaphore acquire", &visit_fd};
        SharedSemaphore& semaphore_;
        std::uint64_t token_ = 0;
    };

private:
    SharedSemaphore* semaphore_;
};

}  // namespace weir::ipc
