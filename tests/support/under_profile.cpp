// SPDX-License-Identifier: MIT
//
// usage: under_profile either|epoll|io_uring PROGRAM [ARGUMENT…]
//
// Runs a test program under the seccomp filter that `weir seccomp` makes for a backend, so that what the list of
// system calls lacks fails a test. With `epoll` io_uring is forbidden, as in most containers.
#include "seccomp.hpp"

#include <cstdio>
#include <cstring>
#include <optional>

#include <sys/syscall.h>
#include <unistd.h>

using weir::tool::ProfileBackend;

namespace {

// What tests do and services do not: children by fork, files and users of all kinds, machines that change.
constexpr long calls_of_tests[]{
    SYS_getrusage,
    SYS_setitimer,
    SYS_rt_sigqueueinfo,
    SYS_umask,
    SYS_unshare,
    SYS_mount,
    SYS_setuid,
    SYS_getpgid,
    SYS_truncate,
    SYS_symlinkat,
    SYS_utimensat,
    SYS_setrlimit,
    SYS_rt_sigpending,
    SYS_setsid,
    SYS_ptrace,
    SYS_getgroups,
    SYS_setgid,
    SYS_umount2,
    SYS_sysinfo,
    SYS_personality,
    SYS_rt_sigtimedwait,
    SYS_capget,
    SYS_sched_getscheduler,
    SYS_capset,
#ifdef SYS_rmdir
    SYS_rmdir,
    SYS_pause,
    SYS_vfork,
    SYS_symlink,
    SYS_getpgrp,
    SYS_pipe,
#endif
#ifdef SYS_fadvise64
    SYS_fadvise64,
#endif
};
constexpr int no_filter_status = 2;

std::optional<ProfileBackend> profile_backend(const char* name) {
    if (std::strcmp(name, "either") == 0) return ProfileBackend::either;
    if (std::strcmp(name, "epoll") == 0) return ProfileBackend::epoll;
    if (std::strcmp(name, "io_uring") == 0) return ProfileBackend::io_uring;
    return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
    const auto backend = argc > 2 ? profile_backend(argv[1]) : std::nullopt;
    if (!backend) {
        std::fprintf(stderr, "usage: %s either|epoll|io_uring PROGRAM [ARGUMENT...]\n", argv[0]);
        return no_filter_status;
    }
    const auto filter = weir::tool::make_filter(*backend, calls_of_tests);
    if (!filter || !weir::tool::install_filter(*filter)) {
        std::perror("seccomp");
        return no_filter_status;
    }
    ::execvp(argv[2], argv + 2);
    std::perror(argv[2]);
    return 127;
}
