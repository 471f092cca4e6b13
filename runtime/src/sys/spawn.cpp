// SPDX-License-Identifier: MIT
//
// fork is slow for large processes and copies memory that must not be touched; so the child is made like vfork's,
// in our memory on a stack of its own, while this thread waits. It calls nothing but system calls: credentials are
// changed by the raw ones, since the C library's would reach for other threads. What goes wrong comes back through
// a close-on-exec pipe, which works the same where vfork is emulated by fork (qemu-user).
#include "sys/spawn.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::sys {
namespace {

#ifdef SYS_setresuid32
constexpr long setresuid_number = SYS_setresuid32;
constexpr long setresgid_number = SYS_setresgid32;
constexpr long setgroups_number = SYS_setgroups32;
#else
constexpr long setresuid_number = SYS_setresuid;
constexpr long setresgid_number = SYS_setresgid;
constexpr long setgroups_number = SYS_setgroups;
#endif
constexpr long close_range_number = 436;  // the same on every architecture
constexpr unsigned close_range_cloexec = 4;
constexpr long pidfd_open_number = 434;

/// The steps at which a child can fail; sent back as an index.
enum class Step : int { signals, descriptors, process_group, directory, group, user, death_signal, exec };

const char* name_of(Step step) noexcept {
    switch (step) {
        case Step::signals: return "spawn, setting signals";
        case Step::descriptors: return "spawn, placing descriptors";
        case Step::process_group: return "spawn, making a process group";
        case Step::directory: return "spawn, changing directory";
        case Step::group: return "spawn, changing group";
        case Step::user: return "spawn, changing user";
        case Step::death_signal: return "spawn, asking for the death signal";
        case Step::exec: return "spawn, executing the program";
    }
    return "spawn";
}

struct Report {
    Step step;
    int error;
};

struct Job {
    const SpawnPlan* plan;
    int report_fd;
    pid_t parent;
};

bool default_signals() noexcept {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) {
        struct sigaction now {};
        // Unknown numbers, SIGKILL and SIGSTOP, and the C library's own cannot be changed and need not be.
        if (::sigaction(signal, nullptr, &now) < 0 || now.sa_handler == SIG_DFL) continue;
        ::sigaction(signal, &standard, nullptr);
    }
    sigset_t none;
    ::sigemptyset(&none);
    return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

// What getdents64 gives, up to the name.
struct DirectoryEntry {
    std::uint64_t inode;
    std::int64_t offset;
    std::uint16_t size;
    std::uint8_t type;
};
constexpr std::size_t name_offset = 19;  // behind `type`

int number_in(const char* text) noexcept {
    int number = 0;
    for (; *text >= '0' && *text <= '9'; ++text) number = number * 10 + (*text - '0');
    return *text == '\0' ? number : -1;
}

// What close_range(2) with its flag does from 5.11 on. Before it, /proc tells what is open; by the raw calls, since the
// C library's would allocate. Without /proc nothing can be done.
void close_all_on_exec() noexcept {
    if (::syscall(close_range_number, 3U, UINT_MAX, close_range_cloexec) == 0) return;
    const int directory = ::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return;
    alignas(DirectoryEntry) char entries[1024];
    for (;;) {
        const long size = ::syscall(SYS_getdents64, directory, entries, sizeof(entries));
        if (size <= 0) break;
        for (long at = 0; at < size;) {
            std::uint16_t entry_size;
            std::memcpy(&entry_size, entries + at + offsetof(DirectoryEntry, size), sizeof(entry_size));
            const int fd = number_in(entries + at + name_offset);
            if (fd > 2) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
            at += entry_size;
        }
    }
    ::close(directory);
}

// First all sources move out of the way of all targets, then each goes to its place.
bool place_descriptors(const SpawnPlan& plan, int& report_fd) noexcept {
    int highest = 2;
    for (const FdMove& move : plan.descriptors) highest = std::max(highest, move.to);
    int sources[moves_max];
    for (std::size_t i = 0; i < plan.descriptors.size(); ++i) {
        sources[i] = ::fcntl(plan.descriptors[i].from, F_DUPFD_CLOEXEC, highest + 1);
        if (sources[i] < 0) return false;
    }
    const int report = ::fcntl(report_fd, F_DUPFD_CLOEXEC, highest + 1);
    if (report < 0) return false;
    report_fd = report;
    // What our own process has open without close-on-exec is none of the child's business.
    close_all_on_exec();
    for (std::size_t i = 0; i < plan.descriptors.size(); ++i) {
        if (::dup2(sources[i], plan.descriptors[i].to) < 0) return false;
    }
    return true;
}

bool drop_group(const SpawnPlan& plan) noexcept {
    // Supplementary groups would keep rights that the new user or group should not have; only root can and need drop
    // them.
    const bool drops = plan.group >= 0 || plan.user >= 0;
    if (drops && ::geteuid() == 0 && ::syscall(setgroups_number, std::size_t{0}, nullptr) < 0) return false;
    if (plan.group < 0) return true;
    const auto group = static_cast<gid_t>(plan.group);
    return ::syscall(setresgid_number, group, group, group) == 0;
}

bool drop_user(const SpawnPlan& plan) noexcept {
    if (plan.user < 0) return true;
    const auto user = static_cast<uid_t>(plan.user);
    return ::syscall(setresuid_number, user, user, user) == 0;
}

// The kernel forgets the death signal when credentials change, so it comes after them; and if the parent died
// before, nobody would send it.
bool ask_for_death_signal(const SpawnPlan& plan, pid_t parent) noexcept {
    if (plan.death_signal == 0) return true;
    if (::prctl(PR_SET_PDEATHSIG, static_cast<unsigned long>(plan.death_signal)) < 0) return false;
    if (::getppid() == parent) return true;
    errno = ESRCH;
    return false;
}

int child(void* argument) noexcept {
    const Job& job = *static_cast<const Job*>(argument);
    const SpawnPlan& plan = *job.plan;
    int report_fd = job.report_fd;
    Step step = Step::signals;
    bool good = default_signals();
    if (good) {
        step = Step::descriptors;
        good = place_descriptors(plan, report_fd);
    }
    if (good) {
        step = Step::process_group;
        good = !plan.new_group || ::setpgid(0, 0) == 0;
    }
    if (good) {
        step = Step::directory;
        good = plan.directory == nullptr || ::chdir(plan.directory) == 0;
    }
    if (good) {
        step = Step::group;
        good = drop_group(plan);
    }
    if (good) {
        step = Step::user;
        good = drop_user(plan);
    }
    if (good) {
        step = Step::death_signal;
        good = ask_for_death_signal(plan, job.parent);
    }
    if (good) {
        step = Step::exec;
        ::execve(plan.path, plan.arguments, plan.environment);
    }
    const Report report{step, errno};
    [[maybe_unused]] const auto written = ::write(report_fd, &report, sizeof(report));
    ::_exit(127);
}

pid_t clone_child(const Job& job) noexcept {
    constexpr std::size_t stack_size = 32 * 1024;
    alignas(16) std::byte stack[stack_size];
    // No handler of ours may run in the child, which shares our memory: everything is blocked until its exec.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    const pid_t pid =
        ::clone(child, stack + stack_size, CLONE_VM | CLONE_VFORK | SIGCHLD, const_cast<Job*>(&job));
    const int saved = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = saved;
    return pid;
}

// A program that was started with SIGCHLD ignored, as some parents leave it, would have its children reaped by the
// kernel: no exit status, and a pid that may be another's by the time we look.
void keep_exit_statuses() noexcept {
    struct sigaction now {};
    if (::sigaction(SIGCHLD, nullptr, &now) < 0) return;
    const bool ignored = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
    if (!ignored && (now.sa_flags & SA_NOCLDWAIT) == 0) return;
    if (ignored) now.sa_handler = SIG_DFL;
    now.sa_flags &= ~SA_NOCLDWAIT;
    ::sigaction(SIGCHLD, &now, nullptr);
}

// A child that is about to end, however often a signal interrupts the wait for it.
void reap(pid_t pid) noexcept {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
}

}  // namespace

Result<Spawned> spawn(const SpawnPlan& plan) noexcept {
    if (plan.descriptors.size() > moves_max) {
        return failure(Errc::too_large, "spawn, descriptors to pass", plan.descriptors.size(), moves_max);
    }
    keep_exit_statuses();
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return failure(Error::from_errno("spawn", errno));
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    const pid_t pid = clone_child({&plan, writing.get(), ::getpid()});
    if (pid < 0) return failure(Error::from_errno("spawn", errno));
    writing.close();
    Report report{};
    ssize_t size;
    do {
        size = ::read(reading.get(), &report, sizeof(report));
    } while (size < 0 && errno == EINTR);
    if (size == static_cast<ssize_t>(sizeof(report))) {
        reap(pid);
        return failure(Error::from_errno(name_of(report.step), report.error));
    }
    // The pid cannot be reused before we have waited for it.
    Fd pidfd(static_cast<int>(::syscall(pidfd_open_number, pid, 0U)));
    if (!pidfd) {
        const int saved = errno;
        ::kill(pid, SIGKILL);
        reap(pid);
        return failure(Error::from_errno("spawn, opening the pidfd", saved));
    }
    return Spawned{pid, std::move(pidfd)};
}

}  // namespace weir::sys
