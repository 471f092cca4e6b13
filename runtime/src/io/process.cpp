// SPDX-License-Identifier: MIT
#include "weir/io/process.hpp"

#include "weir/core/report.hpp"

#include "sys/spawn.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace weir {
namespace {

constexpr long pidfd_send_signal_number = 424;  // the same on every architecture

// A null-terminated copy of the pointers; the kernel's interface is not const.
template <std::size_t count_max>
class Strings {
public:
    bool assign(std::span<const char* const> strings) noexcept {
        if (strings.size() > count_max) return false;
        for (std::size_t i = 0; i < strings.size(); ++i) pointers_[i] = const_cast<char*>(strings[i]);
        pointers_[strings.size()] = nullptr;
        return true;
    }
    char* const* data() const noexcept { return pointers_.data(); }

private:
    std::array<char*, count_max + 1> pointers_;
};

// Both ends of a child's standard stream: ours non-blocking, the child's blocking.
struct StreamEnds {
    Fd ours;
    Fd childs;
};

Result<StreamEnds> make_pipe(bool child_reads) noexcept {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return failure(Error::from_errno("spawn, making a pipe", errno));
    StreamEnds stream;
    stream.ours = Fd(ends[child_reads ? 1 : 0]);
    stream.childs = Fd(ends[child_reads ? 0 : 1]);
    if (::fcntl(stream.ours.get(), F_SETFL, O_NONBLOCK) < 0) {
        return failure(Error::from_errno("spawn, making a pipe", errno));
    }
    return stream;
}

}  // namespace

Process::Process(Process&& other) noexcept
    : input(std::move(other.input)),
      output(std::move(other.output)),
      error(std::move(other.error)),
      pidfd_(std::move(other.pidfd_)),
      pid_(std::exchange(other.pid_, 0)),
      reaped_(std::exchange(other.reaped_, true)),
      status_(other.status_) {}

Process& Process::operator=(Process&& other) noexcept {
    if (this == &other) return *this;
    kill_and_reap();
    input = std::move(other.input);
    output = std::move(other.output);
    error = std::move(other.error);
    pidfd_ = std::move(other.pidfd_);
    pid_ = std::exchange(other.pid_, 0);
    reaped_ = std::exchange(other.reaped_, true);
    status_ = other.status_;
    return *this;
}

Result<Process> Process::spawn(const SpawnOptions& options) noexcept {
    if (options.path == nullptr) return failure(Errc::invalid, "spawn, without a path");
    Strings<arguments_max> arguments;
    const char* const own_name[] = {options.path};
    if (!arguments.assign(options.arguments.empty() ? std::span<const char* const>(own_name)
                                                    : options.arguments)) {
        return failure(Errc::too_large, "spawn, arguments", options.arguments.size(), arguments_max);
    }
    Strings<environment_max> environment;
    if (!environment.assign(options.environment)) {
        return failure(Errc::too_large, "spawn, environment", options.environment.size(), environment_max);
    }
    std::array<sys::FdMove, sys::moves_max> moves;
    std::size_t count = 0;
    const Stdio streams[3] = {options.input, options.output, options.error};
    // Looked at before anything is opened here, which would take the number of a stream that we were started without.
    bool is_open[3];
    for (int i = 0; i < 3; ++i) is_open[i] = ::fcntl(i, F_GETFD) >= 0;
    StreamEnds pipes[3];
    Fd null;
    for (int i = 0; i < 3; ++i) {
        switch (streams[i].value_) {
            case Stdio::kind_inherit:
                // A program that was itself started without it has nothing to hand on.
                if (is_open[i]) moves[count++] = {i, i};
                break;
            case Stdio::kind_null:
                if (!null) null = Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
                if (!null) return failure(Error::from_errno("spawn, opening /dev/null", errno));
                moves[count++] = {null.get(), i};
                break;
            case Stdio::kind_pipe: {
                WEIR_TRY(pipes[i], make_pipe(i == 0));
                moves[count++] = {pipes[i].childs.get(), i};
                break;
            }
            default: moves[count++] = {streams[i].value_, i}; break;
        }
    }
    if (options.descriptors.size() > moves.size() - count) {
        return failure(Errc::too_large, "spawn, descriptors", options.descriptors.size(),
                       moves.size() - count);
    }
    for (const PassedFd& passed : options.descriptors) {
        if (passed.to < 3) {
            return failure(Errc::invalid, "spawn, a passed descriptor below 3",
                           static_cast<std::uint64_t>(std::max(passed.to, 0)));
        }
        moves[count++] = {passed.from, passed.to};
    }
    const sys::SpawnPlan plan{
        .path = options.path,
        .arguments = arguments.data(),
        .environment = options.environment.empty() ? environ : environment.data(),
        .directory = options.directory,
        .descriptors = std::span(moves.data(), count),
        .user = options.user,
        .group = options.group,
        .death_signal = options.death_signal,
        .new_group = options.new_group,
    };
    WEIR_TRY(sys::Spawned spawned, sys::spawn(plan));
    Process process;
    process.pid_ = spawned.pid;
    process.reaped_ = false;
    process.pidfd_ = Handle(std::move(spawned.pidfd));
    if (pipes[0].ours) process.input = PipeWriter(std::move(pipes[0].ours));
    if (pipes[1].ours) process.output = PipeReader(std::move(pipes[1].ours));
    if (pipes[2].ours) process.error = PipeReader(std::move(pipes[2].ours));
    return process;
}

// The kernel tells the pid of a pidfd in /proc only; nothing but a pidfd has that line.
Result<Process> Process::adopt(int pidfd) noexcept {
    constexpr const char* operation = "adopt pidfd";
    if (pidfd < 0 || ::fcntl(pidfd, F_GETFD) < 0) return failure(Error::from_errno(operation, EBADF));
    char path[40];
    std::snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    const Fd info(::open(path, O_RDONLY | O_CLOEXEC));
    if (!info) return failure(Error::from_errno(operation, errno));
    char text[512];
    const ssize_t size = ::read(info.get(), text, sizeof(text) - 1);
    if (size < 0) return failure(Error::from_errno(operation, errno));
    text[size] = '\0';
    const char* const line = std::strstr(text, "\nPid:");
    if (line == nullptr) return failure(Errc::wrong_kind, operation);
    const long pid = std::strtol(line + 5, nullptr, 10);
    if (pid <= 0) return failure(Errc::not_found, "adopt pidfd, of a process that is gone");
    WEIR_TRY(Handle handle, Handle::adopt(pidfd, handle_kind::any, operation));
    Process process;
    process.pid_ = static_cast<std::int32_t>(pid);
    process.reaped_ = false;
    process.pidfd_ = std::move(handle);
    return process;
}

int Process::release() noexcept {
    if (!std::exchange(reaped_, true)) pid_ = 0;  // no child of ours any more
    return pidfd_.release();
}

AwaitExit Process::exit() noexcept {
    return AwaitExit(*this);
}

Result<void> Process::signal(int number) noexcept {
    if (reaped_) return failure(Errc::not_found, "process signal");
    if (::syscall(pidfd_send_signal_number, pidfd_.fd(), number, nullptr, 0U) < 0) {
        return failure(Error::from_errno("process signal", errno));
    }
    return {};
}

Result<ExitStatus> Process::reap(bool wait) noexcept {
    siginfo_t info{};
    int status;
    do {
        // By pid, not by pidfd: the same on every kernel, and nobody else can have reaped our child.
        status = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | (wait ? 0 : WNOHANG));
    } while (status < 0 && errno == EINTR);
    if (status < 0) return failure(Error::from_errno("process exit", errno));
    if (info.si_pid == 0) return failure(Errc::would_block, "process exit");
    reaped_ = true;
    status_ = {.signaled = info.si_code != CLD_EXITED, .value = info.si_status};
    pidfd_.close();
    return status_;
}

void Process::kill_and_reap() noexcept {
    if (reaped_) return;
    const auto killed = signal(SIGKILL);  // not_found: it has ended already
    // One that has changed its user beyond our reach cannot be killed, and would be waited for as long as it likes.
    const bool out_of_reach = !killed && killed.error() == Errc::denied;
    if (out_of_reach) report(killed.error());
    static_cast<void>(reap(!out_of_reach));
    reaped_ = true;
}

Result<ExitStatus> AwaitExit::Wait::take() noexcept {
    const auto got = outcome();
    if (!got) return failure(got.error());
    if (process_.pid() == 0) return failure(Errc::closed, name());
    if (process_.reaped()) return process_.status_;
    return process_.reap(false);
}

}  // namespace weir
