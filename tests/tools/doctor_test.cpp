// SPDX-License-Identifier: MIT
//
// Each case runs in a child, since it changes what the process may do or where it lives.
#include "commands.hpp"
#include "printed.hpp"

#include "support/child.hpp"
#include "support/forbid_call.hpp"
#include "support/forbid_io_uring.hpp"
#include "support/skip.hpp"
#include "support/uring_probe.hpp"

#include <cerrno>
#include <cstdlib>
#include <functional>

#include <ctime>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

using weir::test::ChildEnd;
using weir::test::Printed;
using weir::test::run_in_child;

namespace {

/// The exit status of `weir doctor` in a child that has the runtime directory `directory` and did `first` before.
int examine(
    const Printed& printed, const std::function<bool()>& first = [] { return true; },
    const char* directory = "/tmp") {
    const ChildEnd end = run_in_child([&] {
        ::unsetenv("WEIR_BACKEND");
        ::setenv("WEIR_RUNTIME_DIR", directory, 1);
        if (!first()) return 100;
        const int status = weir::tool::doctor(printed.file());
        std::fflush(printed.file());
        return status;
    });
    INFO(end.errors);
    CHECK(end.signal == 0);
    return end.exit_status;
}

/// A directory that only its owner writes to, as a runtime directory has to be.
class OwnDirectory {
public:
    OwnDirectory() { REQUIRE(::mkdtemp(path_) != nullptr); }
    OwnDirectory(const OwnDirectory&) = delete;
    OwnDirectory& operator=(const OwnDirectory&) = delete;
    ~OwnDirectory() { ::rmdir(path_); }
    [[nodiscard]] const char* path() const { return path_; }

private:
    char path_[32] = "/tmp/weir-doctor-XXXXXX";
};

}  // namespace

TEST_CASE("doctor says of a machine that has all it looks for that it is fit") {
    const OwnDirectory directory;
    const Printed printed;
    const int status = examine(
        printed, [] { return true; }, directory.path());
    const auto lines = printed.lines();
    REQUIRE(!lines.empty());
    if (status == 1) weir::test::skip("this machine lacks something: " + printed.line("bad"));
    CHECK(status == 0);
    CHECK(lines.back() == "fit");
    CHECK(printed.line("bad").empty());
    CHECK(printed.line("ok    memfd seals: ") == "ok    memfd seals: there");
    CHECK(printed.line("ok    runtime directory: ") ==
          "ok    runtime directory: " + std::string(directory.path()) + ", by WEIR_RUNTIME_DIR");
    for (const std::string& line : lines) {
        INFO(line);
        CHECK((line.rfind("ok    ", 0) == 0 || line.rfind("note  ", 0) == 0 || line == "fit"));
    }
}

TEST_CASE("doctor names the backend that results, and why") {
    const OwnDirectory directory;
    const Printed printed;
    examine(
        printed, [] { return true; }, directory.path());
    if (const std::string reason = weir::test::why_no_io_uring(); !reason.empty()) {
        CHECK(printed.line("ok    backend: epoll, since io_uring cannot be had").size() > 50);
    } else if (printed.line("ok    backend: epoll, since").find("left out when weir was built") ==
               std::string::npos) {
        CHECK(printed.line("ok    io_uring: ") ==
              "ok    io_uring: offered, with SINGLE_ISSUER and DEFER_TASKRUN");
        CHECK(printed.line("ok    io_uring operations: ") ==
              "ok    io_uring operations: read yes, receive yes, poll yes, cancel yes");
        CHECK(printed.line("ok    backend: ") ==
              "ok    backend: io_uring, which this kernel offers with deferred completions");
    }
}

TEST_CASE("doctor finds epoll_pwait2 just where it works, and tells what serves instead") {
    const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    const timespec no_time{};
    const bool works = ::syscall(441, epoll_fd, &event, 1, &no_time, nullptr, 8) == 0;
    ::close(epoll_fd);
    const OwnDirectory directory;
    const Printed printed;
    examine(
        printed, [] { return true; }, directory.path());
    CHECK((printed.line("ok    epoll_pwait2: ") == "ok    epoll_pwait2: there") == works);

    const Printed without;
    const int status = examine(
        without, [] { return weir::test::forbid_call(441, ENOSYS); }, directory.path());
    if (status == 100) weir::test::skip("no seccomp here");
    CHECK(without.line("note  epoll_pwait2: ") ==
          "note  epoll_pwait2: this kernel has it not, or a sandbox forbids it [errno 38]; the epoll backend "
          "waits by ppoll first");
}

TEST_CASE("doctor tells a sandbox that forbids io_uring, and the epoll that results") {
    const OwnDirectory directory;
    const Printed printed;
    const int status = examine(
        printed, [] { return weir::test::forbid_io_uring(EPERM); }, directory.path());
    if (status == 100) weir::test::skip("no seccomp here");
    CHECK(status == 0);
    CHECK(printed.line("note  io_uring: ") ==
          "note  io_uring: forbidden by a sandbox or a policy [Operation not permitted]");
    CHECK(printed.line("ok    backend: epoll, since io_uring cannot be had: io_uring").size() > 60);
    CHECK(printed.lines().back() == "fit");
}

TEST_CASE("doctor tells an io_uring that the kernel does not have") {
    const OwnDirectory directory;
    const Printed printed;
    const int status = examine(
        printed, [] { return weir::test::forbid_io_uring(ENOSYS); }, directory.path());
    if (status == 100) weir::test::skip("no seccomp here");
    CHECK(status == 0);
    CHECK(printed.line("note  io_uring: ") ==
          "note  io_uring: this kernel has it not, or a sandbox forbids it [errno 38]");
}

TEST_CASE("doctor says of a machine without pidfds what will not work, and is not content") {
    const OwnDirectory directory;
    const Printed printed;
    const int status = examine(
        printed, [] { return weir::test::forbid_call(SYS_pidfd_open, ENOSYS); }, directory.path());
    if (status == 100) weir::test::skip("no seccomp here");
    CHECK(status == 1);
    CHECK(printed.line("bad   pidfd_open: ") ==
          "bad   pidfd_open: this kernel has it not, or a sandbox forbids it [errno 38]; without it Process "
          "does not work, and a peer's end is learned from its socket alone");
    CHECK(printed.lines().back() == "not fit: 1 of these will not work");
}

TEST_CASE("doctor says of a sandbox without memory files that shared memory will not work") {
    const OwnDirectory directory;
    const Printed printed;
    const int status = examine(
        printed, [] { return weir::test::forbid_call(SYS_memfd_create, EPERM); }, directory.path());
    if (status == 100) weir::test::skip("no seccomp here");
    CHECK(status == 1);
    CHECK(printed.line("bad   memfd: ").find("shared memory does not work") != std::string::npos);
}

TEST_CASE("doctor tells limits that will bite") {
    const OwnDirectory directory;
    const Printed printed;
    const int status = examine(
        printed,
        [] {
            const rlimit few{100, 100};
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
            return ::setrlimit(RLIMIT_NOFILE, &few) == 0 && ::sched_setaffinity(0, sizeof(one), &one) == 0;
        },
        directory.path());
    REQUIRE(status != 100);
    CHECK(printed.line("note  RLIMIT_NOFILE: ") ==
          "note  RLIMIT_NOFILE: 100 descriptors (hard limit 100); few for a server: accept pauses while "
          "there is none "
          "left");
    CHECK(printed.line("note  processors: ") == "note  processors: 1 allowed to us; nothing ever spins");
}

TEST_CASE("doctor is not content with a runtime directory that others may write to") {
    const Printed printed;
    CHECK(examine(printed) == 1);  // /tmp
    CHECK(printed.line("bad   runtime directory: /tmp, by WEIR_RUNTIME_DIR; ").find("others may write") !=
          std::string::npos);
}

TEST_CASE("doctor tells a runtime directory that nobody can make, and makes none itself") {
    const Printed nowhere;
    CHECK(examine(
              nowhere, [] { return true; }, "/nonexistent/place") == 1);
    CHECK(nowhere.line("bad   runtime directory: /nonexistent/place, by WEIR_RUNTIME_DIR; it is not there")
              .size() > 60);

    const OwnDirectory directory;
    const std::string below = std::string(directory.path()) + "/weir";
    const Printed printed;
    examine(
        printed, [] { return true; }, below.c_str());
    CHECK(printed.line("ok    runtime directory: ") ==
          "ok    runtime directory: " + below + ", by WEIR_RUNTIME_DIR; the first server makes it");
    CHECK(::access(below.c_str(), F_OK) != 0);
}
