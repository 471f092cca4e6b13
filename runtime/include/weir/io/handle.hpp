// SPDX-License-Identifier: MIT
//
// What every awaitable kernel object has: a descriptor, and a place in the scheduler that awaits it.
//
// A handle is bound to the scheduler in which it is first awaited and stays with it. Its destructor deregisters
// and closes; it never waits. With an operation still in flight that is a bug, and asserted.
//
// adopt(fd) makes a handle from a descriptor that came from elsewhere. It checks the kind, and takes ownership
// only if it succeeds. Descriptors 0, 1 and 2 keep the mode they have, since they are shared with whoever
// started the program; all others are made non-blocking. release() gives the descriptor back.
#pragma once

#include "weir/core/bytes.hpp"
#include "weir/scheduler/scheduler.hpp"
#include "weir/sys/fd.hpp"

#include <utility>

namespace weir {

/// What kind of descriptor a handle takes: says whether `fd`, whose file has `mode`, is one, and prepares it. A function for
/// each, so that a program knows of no other kinds than those it has.
using HandleKind = bool (*)(int fd, std::uint32_t mode) noexcept;

namespace handle_kind {
bool pipe_reader(int fd, std::uint32_t mode) noexcept;  // the reading end of a pipe or FIFO
bool pipe_writer(int fd, std::uint32_t mode) noexcept;
bool unix_stream(int fd, std::uint32_t mode) noexcept;
bool unix_listener(int fd, std::uint32_t mode) noexcept;
bool unix_seqpacket(int fd, std::uint32_t mode) noexcept;
bool unix_seqpacket_listener(int fd, std::uint32_t mode) noexcept;
bool unix_datagram(int fd, std::uint32_t mode) noexcept;
bool tcp_stream(int fd, std::uint32_t mode) noexcept;
bool tcp_listener(int fd, std::uint32_t mode) noexcept;
bool udp(int fd, std::uint32_t mode) noexcept;
bool eventfd(int fd, std::uint32_t mode) noexcept;
bool signalfd(int fd, std::uint32_t mode) noexcept;
bool queue_reader(int fd, std::uint32_t mode) noexcept;  // a POSIX message queue
bool queue_writer(int fd, std::uint32_t mode) noexcept;
bool any(int fd, std::uint32_t mode) noexcept;
}  // namespace handle_kind

/// The base of all kernel objects. Move-only; belongs to one scheduler's thread.
class Handle {
public:
    Handle() noexcept = default;
    /// `fd` was made by us: close-on-exec and non-blocking.
    explicit Handle(Fd fd) noexcept : fd_(std::move(fd)), nonblocking_(true) {}
    Handle(Handle&& other) noexcept
        : fd_(std::move(other.fd_)),
          scheduler_(std::exchange(other.scheduler_, nullptr)),
          entry_(std::exchange(other.entry_, nullptr)),
          nonblocking_(other.nonblocking_) {}
    Handle& operator=(Handle&& other) noexcept;
    ~Handle() { close(); }

    /// The descriptor, still owned by the handle; -1 if there is none.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    /// Deregisters and gives the descriptor to the caller, in the mode it has. Nothing is in flight.
    [[nodiscard]] int release() noexcept;
    /// Deregisters and closes at once; nothing is in flight. Makes system calls and does not wait.
    void close() noexcept;

    /// Its entry in `scheduler`, made at the first call. Errors: no_descriptor, closed.
    Result<DescriptorEntry*> entry_in(Scheduler& scheduler) noexcept;

    /// Checks that `fd` is of `kind` and prepares it. Errors: wrong_kind, closed (not open).
    static Result<Handle> adopt(int fd, HandleKind kind, const char* operation) noexcept {
        return adopt_as<Handle>(fd, kind, operation);
    }

protected:
    /// The same for the type of handle H.
    template <class H>
    static Result<H> adopt_as(int fd, HandleKind kind, const char* operation) noexcept {
        H adopted;
        if (const auto done = static_cast<Handle&>(adopted).adopt_this(fd, kind, operation); !done)
            return failure(done.error());
        return adopted;
    }
    /// The same into this handle, which has none.
    Result<void> adopt_this(int fd, HandleKind kind, const char* operation) noexcept;

private:
    void unbind() noexcept;

    Fd fd_;
    Scheduler* scheduler_ = nullptr;
    DescriptorEntry* entry_ = nullptr;
    bool nonblocking_ = false;
};

/// The Wait of one operation on a handle. Derived classes turn `result` into a Result.
class OperationWait : public Leaf, protected Operation {
public:
    void refuse(Errc code) noexcept;

    /// Describes itself to Scheduler::dump; for the Kind of derived classes.
    static void visit_fd(const Pending& self, PendingVisitor& visitor) noexcept;

protected:
    OperationWait(const Pending::Kind& kind_of, Operation::Verb what, Stop function = stopped) noexcept;
    ~OperationWait() = default;

    /// Binds, tries, and submits if it has to wait: true if it is over.
    bool start_on(Handle& handle, const Start& start) noexcept;
    /// The same without the try, for operations whose try was made already.
    bool submit_on(DescriptorEntry& bound, const Start& start) noexcept;
    /// What came of it; an error has the name of the Kind. `moved` is put into it: bytes moved before it.
    [[nodiscard]] Result<std::size_t> outcome(std::uint64_t moved = 0) const noexcept;
    /// The same without the number, for what is done as a whole.
    [[nodiscard]] Result<void> completion(std::uint64_t moved = 0) const noexcept {
        const auto came = outcome(moved);
        if (!came) return failure(came.error());
        return {};
    }
    [[nodiscard]] static Scheduler& scheduler_of(const Start& start) noexcept {
        return static_cast<Scheduler&>(start.context);  // every Context is a Scheduler
    }
    /// For an await of several transfers: `function` is called when one is done. It returns true if that was the
    /// last, or calls again() for the next. Once `stopped` it must not go on.
    using Continue = bool (*)(OperationWait&, bool stopped) noexcept;
    void set_continue(Continue function) noexcept { continue_ = function; }
    /// Tries, and submits if it has to wait: true if it is over.
    bool again() noexcept;
    void set_error(const Error& error) noexcept { error_ = error; }
    /// The first half of start_on(): finds the entry, and sees that nobody waits there. False if that failed.
    bool bind_to(Handle& handle, const Start& start) noexcept;
    /// Between two transfers: nothing is submitted, the direction is held, and a stop is seen when it goes on.
    void set_yielding(bool yielding) noexcept;

private:
    friend class PausingWait;
    static void operation_done(Operation& operation) noexcept;
    static void stopped(Stoppable& self) noexcept;

    /// It could not be submitted: over, with this negative errno.
    void refuse_submission(long submitted) noexcept;

    bool pausing_ = false;  // a PausingWait between two tries: nothing is submitted
    bool yielding_ = false;
    Continue continue_ = nullptr;
    std::optional<Error> error_;  // instead of `result`
};

/// An operation that the kernel may turn away for a while without a way to wait for better times (a full backlog, no
/// free descriptor): it pauses on a timer and tries again. Its direction is taken meanwhile.
class PausingWait : public OperationWait {
protected:
    /// Called after each pause; true if it is over, with `result` set.
    using Resume = bool (*)(PausingWait&) noexcept;
    PausingWait(const Pending::Kind& kind_of, Operation::Verb what, Resume resume) noexcept
        : OperationWait(kind_of, what, stopped_in_pause), alarm_(*this), resume_(resume) {}
    ~PausingWait() = default;

    /// The await has begun (begin() was called); `resume` is called after `span`.
    void pause(Duration span) noexcept;

private:
    friend OperationWait;
    struct Alarm : Timer {
        explicit Alarm(PausingWait& owner) noexcept : Timer(fire), wait(owner) {}
        static void fire(Timer& timer) noexcept;
        PausingWait& wait;
    };
    static void stopped_in_pause(Stoppable& self) noexcept;
    void set_pausing(bool pausing) noexcept;
    void stop_pausing() noexcept;

    Alarm alarm_;
    Resume resume_;
};

/// Waits until `handle` is readable or writable, whatever that means for its kind.
class [[nodiscard]] Readiness : public Awaitable<Readiness> {
public:
    using Outcome = Result<void>;
    Readiness(Handle& handle, Operation::Verb verb) noexcept : handle_(&handle), verb_(verb) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(Readiness&& readiness) noexcept
            : OperationWait(readiness.verb_ == Operation::Verb::readable ? readable : writable,
                            readiness.verb_),
              handle_(*readiness.handle_) {}
        bool start(const Start& start) noexcept { return start_on(handle_, start); }
        Result<void> take() noexcept { return completion(); }

    private:
        static constexpr Pending::Kind readable{"readable", &visit_fd};
        static constexpr Pending::Kind writable{"writable", &visit_fd};
        Handle& handle_;
    };

private:
    Handle* handle_;
    Operation::Verb verb_;
};

}  // namespace weir
