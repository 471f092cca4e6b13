// SPDX-License-Identifier: MIT
//
// Child processes: spawned by exec, watched by pidfd.
//
//     WEIR_CO_TRY(auto child, Process::spawn({.path = "/usr/bin/sensor", .arguments = arguments,
//                                             .output = Stdio::pipe()}));
//     WEIR_CO_TRY(auto got, child.output.read(buffer));
//     WEIR_CO_TRY(auto exit, child.exit());
#pragma once

#include "weir/io/pipe.hpp"

#include <cstdint>
#include <span>
#include <sys/types.h>

namespace weir {

/// Where a standard stream of a child goes.
class Stdio {
public:
    /// The same as ours.
    static constexpr Stdio inherit() noexcept { return Stdio(kind_inherit); }
    /// /dev/null.
    static constexpr Stdio null() noexcept { return Stdio(kind_null); }
    /// A new pipe; our end is Process::input, output or error. The child's end is in blocking mode.
    static constexpr Stdio pipe() noexcept { return Stdio(kind_pipe); }
    /// A descriptor of ours, which stays ours.
    static constexpr Stdio from(int fd) noexcept { return Stdio(fd); }

private:
    friend class Process;
    static constexpr int kind_inherit = -1;
    static constexpr int kind_null = -2;
    static constexpr int kind_pipe = -3;
    explicit constexpr Stdio(int value) noexcept : value_(value) {}
    int value_;
};

/// Another descriptor for the child: `from`, which stays ours, becomes `to` (3 or more) there.
struct PassedFd {
    int from;
    int to;
};

/// What to start, and how. Only read during Process::spawn().
struct SpawnOptions {
    const char* path = nullptr;                ///< of the program; PATH is not searched
    std::span<const char* const> arguments{};  ///< the program's own name first; empty: {path}
    /// "NAME=value" strings; empty: our own environment.
    std::span<const char* const> environment{};
    const char* directory = nullptr;  ///< to start in; null: ours
    Stdio input = Stdio::inherit();
    Stdio output = Stdio::inherit();
    Stdio error = Stdio::inherit();
    std::span<const PassedFd> descriptors{};  ///< all others are closed in the child
    std::int64_t user = -1;                   ///< uid to become, with no supplementary groups; -1: ours
    std::int64_t group = -1;                  ///< gid to become, with no supplementary groups; -1: ours
    int death_signal = 0;                     ///< sent to the child if our thread dies before it
    bool new_group = false;                   ///< a process group of its own: no ^C from our terminal
};

/// How a child ended.
struct ExitStatus {
    bool signaled = false;
    int value = 0;  ///< the exit status, or the signal

    [[nodiscard]] bool success() const noexcept { return !signaled && value == 0; }
};

class AwaitExit;

/// One child, from its spawn to its reaping. Its destructor kills (SIGKILL) and reaps a child that still runs, and
/// waits for that: for a gentle end send SIGTERM and await exit() with a deadline. The wait is long for a child that
/// cannot be killed (in an uninterruptible call, or of a user whom we may not signal).
class Process {
public:
    static constexpr std::size_t arguments_max = 64;
    static constexpr std::size_t environment_max = 256;

    Process() noexcept = default;
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    ~Process() { kill_and_reap(); }

    /// Starts a program. Holds the thread until its exec has succeeded, and needs 40 KiB of its stack. Errors:
    /// not_found, denied, invalid, too_large, no_files, no_memory; their operation names the step that failed.
    static Result<Process> spawn(const SpawnOptions& options) noexcept;

    /// Takes over a child by its pidfd; only its parent can reap it. Errors: wrong_kind, closed.
    static Result<Process> adopt(int pidfd) noexcept;
    /// Gives the pidfd to the caller, who now has to reap the child; -1 if it is reaped.
    [[nodiscard]] int release() noexcept;

    /// 0: there is no child (none yet, moved away, or released).
    [[nodiscard]] std::int32_t pid() const noexcept { return pid_; }
    [[nodiscard]] bool reaped() const noexcept { return reaped_; }
    /// Waits for the end and reaps; afterwards gives the same status again. Errors: closed (there is no
    /// child), busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] AwaitExit exit() noexcept;
    /// Errors: not_found (it has ended), denied.
    Result<void> signal(int number) noexcept;

    PipeWriter input;  ///< of a child with Stdio::pipe() as its input
    PipeReader output;
    PipeReader error;

private:
    friend AwaitExit;
    void kill_and_reap() noexcept;
    Result<ExitStatus> reap(bool wait) noexcept;

    Handle pidfd_;
    std::int32_t pid_ = 0;
    bool reaped_ = true;
    ExitStatus status_;
};

class [[nodiscard]] AwaitExit : public Awaitable<AwaitExit> {
public:
    using Outcome = Result<ExitStatus>;
    explicit AwaitExit(Process& process) noexcept : process_(&process) {}

    class Wait : public OperationWait {
    public:
        explicit Wait(AwaitExit&& await) noexcept
            : OperationWait(kind, Operation::Verb::readable), process_(*await.process_) {}
        bool start(const Start& start) noexcept {
            return process_.reaped() || start_on(process_.pidfd_, start);
        }
        Result<ExitStatus> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"process exit", &visit_fd};
        Process& process_;
    };

private:
    friend Wait;
    Process* process_;
};

}  // namespace weir
