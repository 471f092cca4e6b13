// SPDX-License-Identifier: MIT
//
// bench_count_calls PROGRAM ARGUMENT…: how many system calls a ring program and its child make under load.
//
// Both are traced (ptrace), so that every call is seen, whoever makes it. Each calls mark_load() where the load begins
// and where it ends; the calls of both between those marks are counted, and are the figure. PROGRAM lies beside this
// program; what it prints is dropped.

#include "measurement.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

namespace {

struct Traced {
    bool in_call = false;
    int marks = 0;
};

struct Counted {
    std::size_t calls = 0;
    int marks = 0;
    int status = 0;
};

[[noreturn]] void become(char** arguments) {
    std::array<char, 4'096> self{};
    if (readlink("/proc/self/exe", self.data(), self.size() - 1) < 0) fail("readlink");
    std::string program(self.data());
    program = program.substr(0, program.rfind('/') + 1) + arguments[0];
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0) fail("open /dev/null");
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) skip("tracing is forbidden here");
    execv(program.c_str(), arguments);
    fail(program.c_str());
}

// The call that a process stands at the entry of.
std::uint64_t call_of(pid_t process) {
    __ptrace_syscall_info info{};
    void* const size = reinterpret_cast<void*>(sizeof(info));
    if (ptrace(PTRACE_GET_SYSCALL_INFO, process, size, &info) < 0)
        skip("PTRACE_GET_SYSCALL_INFO is missing here");
    return info.entry.nr;
}

Counted count(pid_t root) {
    Counted counted;
    std::map<pid_t, Traced> processes;
    int status = 0;
    if (waitpid(root, &status, 0) != root) fail("waitpid");
    if (!WIFSTOPPED(status)) std::exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    constexpr long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, root, nullptr, reinterpret_cast<void*>(options)) != 0) fail("ptrace");
    pid_t process = root;
    long signal = 0;
    for (;;) {
        ptrace(PTRACE_SYSCALL, process, nullptr, reinterpret_cast<void*>(signal));
        process = waitpid(-1, &status, __WALL);
        if (process < 0) return counted;
        signal = 0;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (process == root) counted.status = status;
            processes.erase(process);
            continue;
        }
        Traced& traced = processes[process];
        const int stopped_by = WSTOPSIG(status);
        if (stopped_by == (SIGTRAP | 0x80)) {
            traced.in_call = !traced.in_call;
            if (!traced.in_call) continue;
            if (call_of(process) == SYS_getppid) {
                ++traced.marks;
                ++counted.marks;
            } else if (traced.marks == 1) {
                ++counted.calls;
            }
        } else if (stopped_by != SIGTRAP && stopped_by != SIGSTOP) {
            signal = stopped_by;
        }
    }
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s PROGRAM ARGUMENT...\n", argv[0]);
        return 2;
    }
    const pid_t root = fork();
    if (root < 0) fail("fork");
    if (root == 0) become(argv + 1);
    const Counted counted = count(root);
    if (!WIFEXITED(counted.status)) return 1;
    if (WEXITSTATUS(counted.status) != 0) return WEXITSTATUS(counted.status);
    if (counted.marks != 4) {
        std::fprintf(stderr, "%d marks instead of two from each of two processes\n", counted.marks);
        return 1;
    }
    std::printf("%zu\n", counted.calls);
    return 0;
}
