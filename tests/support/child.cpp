// SPDX-License-Identifier: MIT
#include "child.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {

namespace {

[[noreturn]] void fail_with_errno(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

void restore_default_signals() {
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM, SIGINT}) {
        std::signal(number, SIG_DFL);
    }
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
}

[[noreturn]] void become_child(const std::function<int()>& body, int errors_fd) {
    ::dup2(errors_fd, STDERR_FILENO);
    restore_default_signals();
    int status = 124;
    try {
        status = body();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "exception in child: %s\n", error.what());
    } catch (...) {
        std::fprintf(stderr, "exception in child\n");
    }
    std::fflush(stderr);
    ::_exit(status);
}

bool give_up_root(uid_t uid, gid_t gid) {
    if (::geteuid() == 0) {
        if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 ||
            ::setresuid(uid, uid, uid) != 0) {
            std::fprintf(stderr, "cannot become uid %u: %s\n", static_cast<unsigned>(uid),
                         std::strerror(errno));
            return false;
        }
    }
    if (::getuid() == 0 || ::geteuid() == 0 || ::setuid(0) == 0) {
        std::fprintf(stderr, "still root\n");
        return false;
    }
    return true;
}

}  // namespace

ChildEnd run_in_child(const std::function<int()>& body) {
    std::array<int, 2> errors{};
    if (::pipe2(errors.data(), O_CLOEXEC) != 0) {
        fail_with_errno("pipe2");
    }
    std::fflush(nullptr);  // or the child's copy of a buffer could be written twice
    const pid_t child = ::fork();
    if (child < 0) {
        fail_with_errno("fork");
    }
    if (child == 0) {
        become_child(body, errors[1]);
    }
    ::close(errors[1]);
    ChildEnd end;
    std::array<char, 4096> chunk{};
    for (;;) {
        const ssize_t count = ::read(errors[0], chunk.data(), chunk.size());
        if (count > 0) {
            end.errors.append(chunk.data(), static_cast<std::size_t>(count));
        } else if (count == 0 || errno != EINTR) {
            break;
        }
    }
    ::close(errors[0]);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            fail_with_errno("waitpid");
        }
    }
    if (WIFSIGNALED(status)) {
        end.signal = WTERMSIG(status);
    } else {
        end.exit_status = WEXITSTATUS(status);
    }
    return end;
}

ChildEnd run_unprivileged(const std::function<int()>& body, uid_t uid, gid_t gid) {
    return run_in_child([&] { return give_up_root(uid, gid) ? body() : still_privileged_status; });
}

}  // namespace weir::test
