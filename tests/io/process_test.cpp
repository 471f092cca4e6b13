// SPDX-License-Identifier: MIT
#include <weir/io/process.hpp>

#include "forked.hpp"
#include "running.hpp"
#include "support/child.hpp"
#include "support/forbid_call.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

void skip_on_simulated() {
    if (on_simulated()) skip("other programs live outside the simulation");
}

using Arguments = std::vector<const char*>;

/// No child of this process is left, running or dead.
bool no_children() {
    return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD;
}

Task<> collects(Scheduler&, Process& child, Bytes into, std::size_t& size, ExitStatus& status) {
    for (;;) {
        WEIR_CO_TRY(const auto got, child.output.read(into.subspan(size)));
        if (got.empty()) break;
        size += got.size();
    }
    WEIR_CO_TRY(status, child.exit());
}
struct Outcome {
    std::string output;
    ExitStatus status;
};
/// Spawns with a pipe as its output, and gives all that came out of it.
Outcome run_program(SpawnOptions options) {
    options.output = Stdio::pipe();
    Running running;
    auto child = Process::spawn(options);
    INFO(Running::text_of_error(child));
    REQUIRE(child.has_value());
    std::vector<std::byte> buffer(64 * 1024);
    std::size_t size = 0;
    Outcome outcome;
    running.must_run(collects(*running, *child, buffer, size, outcome.status));
    outcome.output = std::string(text_of(std::span(buffer).first(size)));
    return outcome;
}
Outcome run_shell(const char* script, SpawnOptions options = {}) {
    const Arguments arguments{"sh", "-c", script};
    options.path = "/bin/sh";
    options.arguments = arguments;
    return run_program(options);
}
/// The value of one line of /proc/PID/status.
std::string line_of(const std::string& status, const std::string& name) {
    const std::size_t at = status.find("\n" + name + ":");
    if (at == std::string::npos) return "(no such line)";
    const std::size_t begin = status.find_first_not_of(" \t", at + name.size() + 2);
    return status.substr(begin, status.find('\n', at + 1) - begin);
}

// --- ending

Task<> exits_twice(Scheduler&, Process& child, ExitStatus& first, ExitStatus& second) {
    WEIR_CO_TRY(first, child.exit());
    WEIR_CO_TRY(second, child.exit());
}
TEST_CASE("exit gives the status, as often as it is asked") {
    skip_on_simulated();
    for (const int status : {0, 1, 7, 255}) {
        const std::string script = "exit " + std::to_string(status);
        const Arguments arguments{"sh", "-c", script.c_str()};
        Running running;
        auto child = Process::spawn({.path = "/bin/sh", .arguments = arguments});
        REQUIRE(child.has_value());
        CHECK_FALSE(child->reaped());
        ExitStatus first;
        ExitStatus second{.signaled = true, .value = -1};
        running.must_run(exits_twice(*running, *child, first, second));
        CHECK_FALSE(first.signaled);
        CHECK(first.value == status);
        CHECK(first.success() == (status == 0));
        CHECK(second.value == status);
        CHECK(child->reaped());
        CHECK(code_of(child->signal(SIGTERM)) == Errc::not_found);
    }
    CHECK(no_children());
}

Task<> awaits_exit(Scheduler&, Process& child, ExitStatus& status) {
    WEIR_CO_TRY(status, child.exit());
}
TEST_CASE("without a child there is no exit, and so no success") {
    skip_on_simulated();
    const Arguments arguments{"sh", "-c", "exit 7"};
    Running running;
    const auto exit_of = [&running](Process& child) {
        ExitStatus status;
        return code_of(running.run(awaits_exit(*running, child, status)));
    };
    Process none;
    CHECK(exit_of(none) == Errc::closed);
    auto child = Process::spawn({.path = "/bin/sh", .arguments = arguments});
    REQUIRE(child.has_value());
    Process moved = std::move(*child);
    CHECK(exit_of(*child) == Errc::closed);
    const int pidfd = moved.release();
    CHECK(exit_of(moved) == Errc::closed);
    auto adopted = Process::adopt(pidfd);
    REQUIRE(adopted.has_value());
    ExitStatus status;
    running.must_run(awaits_exit(*running, *adopted, status));
    CHECK(status.value == 7);
}
TEST_CASE("a child that a signal ended says which") {
    skip_on_simulated();
    for (const int signal : {SIGTERM, SIGKILL}) {
        const Arguments arguments{"sleep", "1000"};
        Running running;
        auto child = Process::spawn({.path = "/bin/sleep", .arguments = arguments});
        REQUIRE(child.has_value());
        CHECK(child->signal(signal).has_value());
        ExitStatus status;
        running.must_run(awaits_exit(*running, *child, status));
        CHECK(status.signaled);
        CHECK(status.value == signal);
        CHECK_FALSE(status.success());
    }
    CHECK(no_children());
}

Task<> cancelled_then_again(Scheduler&, Process& child) {
    for (int i = 0; i < 20; ++i) {
        const auto early = co_await child.exit().within(50us);
        CHECK_IN_TASK(code_of(early) == Errc::timed_out);
    }
    CHECK_IN_TASK(!child.reaped());
    child.input.close();  // what it waits for
    WEIR_CO_TRY(const ExitStatus status, child.exit());
    CHECK_IN_TASK(status.success());
}
TEST_CASE("an exit that timed out is awaited again") {
    skip_on_simulated();
    Running running;
    auto child = Process::spawn({.path = "/bin/cat", .input = Stdio::pipe(), .output = Stdio::null()});
    REQUIRE(child.has_value());
    running.must_run(cancelled_then_again(*running, *child));
    CHECK(no_children());
}

Task<> exit_beside(Scheduler&, Process& child, std::optional<Errc>& seen) {
    WEIR_CO_CHECK(yield());
    const auto got = co_await child.exit();
    seen = code_of(got);
    child.input.close();
}
TEST_CASE("a second task that awaits the same exit is told busy") {
    skip_on_simulated();
    Running running;
    auto child = Process::spawn({.path = "/bin/cat", .input = Stdio::pipe(), .output = Stdio::null()});
    REQUIRE(child.has_value());
    std::optional<Errc> seen;
    ExitStatus status;
    running.must_run(
        [](Scheduler& scheduler, Process& both, ExitStatus& one, std::optional<Errc>& two) -> Task<> {
            WEIR_CO_CHECK(all_of(awaits_exit(scheduler, both, one), exit_beside(scheduler, both, two)));
        }(*running, *child, status, seen));
    CHECK(seen == Errc::busy);
    CHECK(status.success());
}

TEST_CASE("dropping a child that runs kills and reaps it") {
    skip_on_simulated();
    const Arguments arguments{"sleep", "1000"};
    std::int32_t pid = 0;
    {
        auto child = Process::spawn({.path = "/bin/sleep", .arguments = arguments});
        REQUIRE(child.has_value());
        pid = child->pid();
        Process moved = std::move(*child);
        CHECK(moved.pid() == pid);
        CHECK(::kill(pid, 0) == 0);
        auto other = Process::spawn({.path = "/bin/sleep", .arguments = arguments});
        REQUIRE(other.has_value());
        moved = std::move(*other);  // the first is gone now
        CHECK((::kill(pid, 0) < 0 && errno == ESRCH));
        pid = moved.pid();
    }
    CHECK((::kill(pid, 0) < 0 && errno == ESRCH));
    CHECK(no_children());
}

Task<> runs_one(Scheduler& scheduler, int number) {
    const std::array<const char*, 3> arguments{"sh", "-c", number % 2 == 0 ? "exit 3" : "exit 4"};
    WEIR_CO_TRY(Process child, Process::spawn({.path = "/bin/sh", .arguments = arguments}));
    WEIR_CO_TRY(const ExitStatus status, child.exit());
    CHECK_IN_TASK(status.value == 3 + number % 2);
    static_cast<void>(scheduler);
}
Task<> runs_many(Scheduler& scheduler, Group& group) {
    for (int i = 0; i < 8; ++i) WEIR_CO_CHECK(group.spawn(runs_one(scheduler, i)));
}
TEST_CASE("many children end side by side and leave no zombie") {
    skip_on_simulated();
    Running running;
    running.must_run(
        [](Scheduler& scheduler) -> Task<> { WEIR_CO_CHECK(with_group<8>(scheduler, runs_many)); }(*running));
    CHECK(no_children());
}

TEST_CASE("a program that was started with SIGCHLD ignored still gets its children's statuses") {
    skip_on_simulated();
    const auto end = run_in_child([] {
        ::signal(SIGCHLD, SIG_IGN);
        const Arguments arguments{"sh", "-c", "exit 9"};
        auto child = Process::spawn({.path = "/bin/sh", .arguments = arguments});
        if (!child) return 2;
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        if (!scheduler->start({.backend = *backend_choice(backend_name())})) return 3;
        ExitStatus status;
        if (!scheduler->run(awaits_exit(*scheduler, *child, status))) return 4;
        return status.value == 9 && !status.signaled ? 0 : 5;
    });
    CHECK(end.exit_status == 0);
}

// --- what the child gets

Task<> talks_to_cat(Scheduler&, Process& child) {
    for (const std::string_view text : {"first", "second line", "third"}) {
        WEIR_CO_CHECK(child.input.write_all(bytes_of(text)));
        std::array<std::byte, 16> buffer;
        WEIR_CO_TRY(const auto echo, child.output.read_exactly(std::span(buffer).first(text.size())));
        CHECK_IN_TASK(text_of(echo) == text);
    }
    child.input.close();
    std::array<std::byte, 1> buffer;
    WEIR_CO_TRY(const auto end, child.output.read(buffer));
    CHECK_IN_TASK(end.empty());
    WEIR_CO_TRY(const ExitStatus status, child.exit());
    CHECK_IN_TASK(status.success());
}
TEST_CASE("pipes carry what is said to and by a child") {
    skip_on_simulated();
    Running running;
    auto child = Process::spawn({.path = "/bin/cat", .input = Stdio::pipe(), .output = Stdio::pipe()});
    REQUIRE(child.has_value());
    CHECK((::fcntl(child->input.fd(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(child->output.fd(), F_GETFD) & FD_CLOEXEC) != 0);
    running.must_run(talks_to_cat(*running, *child));
}

TEST_CASE("standard error has a pipe of its own, and /dev/null is empty") {
    skip_on_simulated();
    const Arguments arguments{"sh", "-c", "echo wrong >&2; echo right; cat"};
    Running running;
    auto child = Process::spawn({.path = "/bin/sh",
                                 .arguments = arguments,
                                 .input = Stdio::null(),
                                 .output = Stdio::null(),
                                 .error = Stdio::pipe()});
    REQUIRE(child.has_value());
    running.must_run([](Scheduler&, Process& shell) -> Task<> {
        std::array<std::byte, 6> buffer;
        WEIR_CO_TRY(const auto got, shell.error.read_exactly(buffer));
        CHECK_IN_TASK(text_of(got) == "wrong\n");
        WEIR_CO_TRY(const auto end, shell.error.read(buffer));
        CHECK_IN_TASK(end.empty());
        WEIR_CO_TRY(const ExitStatus status, shell.exit());
        CHECK_IN_TASK(status.success());
    }(*running, *child));
}

TEST_CASE("a pipe for a child does not become a standard stream that its spawner was started without") {
    skip_on_simulated();
    const auto end = run_in_child([] {
        for (const int fd : {0, 1, 2}) ::close(fd);
        // Its input ends if nobody holds the other end; and it has no output.
        const Arguments arguments{"sh", "-c", "read word; { echo 2>/dev/null; } >&1 && exit 8; exit 9"};
        auto child = Process::spawn({.path = "/bin/sh", .arguments = arguments, .input = Stdio::pipe()});
        if (!child) return 2;
        child->input.close();
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        if (!scheduler->start({.backend = *backend_choice(backend_name())})) return 3;
        ExitStatus status;
        if (!scheduler->run(awaits_exit(*scheduler, *child, status))) return 4;
        return status.value;
    });
    CHECK(end.exit_status == 9);
}

TEST_CASE("the child's pipe ends are in blocking mode") {
    skip_on_simulated();
    auto ends = Pipe::create();
    REQUIRE(ends.has_value());
    const auto got = run_shell("grep flags /proc/self/fdinfo/0 /proc/self/fdinfo/1 /proc/self/fdinfo/2",
                               {.input = Stdio::pipe(), .error = Stdio::pipe()});
    INFO(got.output);
    int lines = 0;
    for (std::size_t at = got.output.find("flags:"); at != std::string::npos;
         at = got.output.find("flags:", at + 1)) {
        CHECK((std::strtoul(got.output.c_str() + at + 6, nullptr, 8) & O_NONBLOCK) == 0);
        ++lines;
    }
    CHECK(lines == 3);
}

TEST_CASE("the environment is the one given, or ours") {
    skip_on_simulated();
    const Arguments given{"ONE=1", "TWO=two words"};
    const Outcome own = run_program({.path = "/usr/bin/env", .environment = given});
    CHECK(own.output == "ONE=1\nTWO=two words\n");
    ::setenv("WEIR_TEST_VARIABLE", "inherited", 1);
    const Outcome ours = run_shell("echo $WEIR_TEST_VARIABLE");
    CHECK(ours.output == "inherited\n");
    ::unsetenv("WEIR_TEST_VARIABLE");
}

TEST_CASE("arguments arrive as they are, and default to the path") {
    skip_on_simulated();
    const Arguments arguments{"name", "-c", "printf '%s|' \"$0\" \"$@\"", "zero", "a b", "", "*"};
    CHECK(run_program({.path = "/bin/sh", .arguments = arguments}).output == "zero|a b||*|");
    CHECK(run_program({.path = "/bin/pwd", .directory = "/proc"}).output == "/proc\n");
}

TEST_CASE("only passed descriptors reach the child, each at its number") {
    skip_on_simulated();
    // One without close-on-exec, as another library might have left it.
    const int stray = ::fcntl(2, F_DUPFD, 50);
    REQUIRE(stray >= 50);
    int pipe[2];
    REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
    // Numbers that collide: what is to be 7 is 8 here and the other way round.
    int other[2];
    REQUIRE(::pipe2(other, O_CLOEXEC) == 0);
    const int seven = ::fcntl(pipe[1], F_DUPFD_CLOEXEC, 3);
    const int eight = ::fcntl(other[1], F_DUPFD_CLOEXEC, 3);
    REQUIRE(std::max(seven, eight) <= 9);  // the shell knows no higher ones
    const std::array<PassedFd, 2> passed{PassedFd{seven, eight}, PassedFd{eight, seven}};
    const std::string script = "echo to-eight >&" + std::to_string(eight) + "; echo to-seven >&" +
                               std::to_string(seven) + "; for f in /proc/self/fd/*; do echo $f; done";
    const Outcome got = run_shell(script.c_str(), {.descriptors = passed});
    INFO(got.output);
    CHECK(got.status.success());
    CHECK(got.output.find("/" + std::to_string(stray) + "\n") == std::string::npos);
    CHECK(got.output.find("/" + std::to_string(seven) + "\n") != std::string::npos);
    CHECK(got.output.find("/" + std::to_string(eight) + "\n") != std::string::npos);
    // 0, 1, 2, the two, and perhaps the shell's own for the directory.
    CHECK(std::count(got.output.begin(), got.output.end(), '\n') <= 6);
    char text[16] = "";
    CHECK(::read(pipe[0], text, sizeof(text)) == 9);
    CHECK(std::string(text, 9) == "to-eight\n");
    CHECK(::read(other[0], text, sizeof(text)) == 9);
    CHECK(std::string(text, 9) == "to-seven\n");
    // What was passed is still ours.
    CHECK(::fcntl(seven, F_GETFD) == FD_CLOEXEC);
    for (const int fd : {stray, pipe[0], pipe[1], other[0], other[1], seven, eight}) ::close(fd);
}

TEST_CASE("the child starts with no signal blocked, ignored or caught") {
    skip_on_simulated();
    sigset_t some;
    ::sigemptyset(&some);
    ::sigaddset(&some, SIGUSR1);
    ::sigaddset(&some, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &some, nullptr);
    const auto usr2 = ::signal(SIGUSR2, [](int) {});
    const auto hup = ::signal(SIGHUP, SIG_IGN);
    const Arguments arguments{"cat", "/proc/self/status"};
    const Outcome got = run_program({.path = "/bin/cat", .arguments = arguments});
    ::signal(SIGUSR2, usr2);
    ::signal(SIGHUP, hup);
    ::pthread_sigmask(SIG_UNBLOCK, &some, nullptr);
    for (const char* const mask : {"SigBlk", "SigIgn", "SigCgt", "SigPnd"}) {
        INFO(mask);
        CHECK(line_of(got.output, mask) == "0000000000000000");
    }
    CHECK(::signal(SIGPIPE, SIG_IGN) == SIG_IGN);  // ours are as they were
}

TEST_CASE("root's child becomes the user and group, with no supplementary groups") {
    skip_on_simulated();
    if (::geteuid() != 0) skip("only root may change users");
    const Arguments arguments{"cat", "/proc/self/status"};
    const gid_t groups[] = {0, 4, 24};
    REQUIRE(::setgroups(3, groups) == 0);
    const Outcome both =
        run_program({.path = "/bin/cat", .arguments = arguments, .user = 4242, .group = 4343});
    CHECK(line_of(both.output, "Uid") == "4242\t4242\t4242\t4242");
    CHECK(line_of(both.output, "Gid") == "4343\t4343\t4343\t4343");
    CHECK(line_of(both.output, "Groups").find_first_of("0123456789") == std::string::npos);
    CHECK(line_of(both.output, "CapEff") == "0000000000000000");
    const Outcome user_only = run_program({.path = "/bin/cat", .arguments = arguments, .user = 4242});
    CHECK(line_of(user_only.output, "Uid") == "4242\t4242\t4242\t4242");
    CHECK(line_of(user_only.output, "Groups").find_first_of("0123456789") == std::string::npos);
    REQUIRE(::setgroups(0, nullptr) == 0);
}

TEST_CASE("an unprivileged spawner may not change users, and the step that failed is named") {
    skip_on_simulated();
    const auto end = run_unprivileged([] {
        if (::geteuid() == 0) return 2;
        const auto user = Process::spawn({.path = "/bin/true", .user = 0});
        if (code_of(user) != Errc::denied) return 3;
        if (std::string_view(user.error().operation).find("user") == std::string_view::npos) return 4;
        const auto group = Process::spawn({.path = "/bin/true", .group = 0});
        if (code_of(group) != Errc::denied) return 5;
        if (std::string_view(group.error().operation).find("group") == std::string_view::npos) return 6;
        return no_children() ? 0 : 7;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("a group of its own keeps the child from our terminal's signals") {
    skip_on_simulated();
    auto child = Process::spawn(
        {.path = "/bin/cat", .input = Stdio::pipe(), .output = Stdio::null(), .new_group = true});
    REQUIRE(child.has_value());
    CHECK(::getpgid(child->pid()) == child->pid());
    auto sharing = Process::spawn({.path = "/bin/cat", .input = Stdio::pipe(), .output = Stdio::null()});
    REQUIRE(sharing.has_value());
    CHECK(::getpgid(sharing->pid()) == ::getpgid(0));
}

TEST_CASE("the death signal ends the child when its spawner is killed") {
    skip_on_simulated();
    int watch[2];
    REQUIRE(::pipe(watch) == 0);
    {
        ForkedHolder spawner([&watch] {
            static const std::array<PassedFd, 1> passed{PassedFd{watch[1], 9}};
            static const Arguments arguments{"sleep", "1000"};
            static auto child = Process::spawn({.path = "/bin/sleep",
                                                .arguments = arguments,
                                                .descriptors = passed,
                                                .death_signal = SIGTERM,
                                                .new_group = true});
            return child.has_value();
        });
        ::close(watch[1]);
        spawner.kill();
    }
    char byte;
    CHECK(::read(watch[0], &byte, 1) == 0);  // the last holder of the writing end is gone
    ::close(watch[0]);
}

// --- what cannot be started

void check_failure(const SpawnOptions& options, Errc code, const char* step) {
    const auto child = Process::spawn(options);
    INFO(Running::text_of_error(child));
    CHECK(code_of(child) == code);
    if (!child) CHECK(std::string_view(child.error().operation).find(step) != std::string_view::npos);
    CHECK(no_children());
}
TEST_CASE("what keeps a program from starting names the step, and leaves nothing") {
    skip_on_simulated();
    const TemporaryDirectory directory;
    check_failure({}, Errc::invalid, "path");
    check_failure({.path = "/no/such/program"}, Errc::not_found, "executing");
    check_failure({.path = "/etc/passwd"}, Errc::denied, "executing");
    check_failure({.path = "/bin/true", .directory = "/no/such/directory"}, Errc::not_found, "directory");
    check_failure({.path = "/bin/true", .input = Stdio::from(1'000'000)}, Errc::closed, "descriptors");
    const std::array<PassedFd, 1> low{PassedFd{1, 2}};
    check_failure({.path = "/bin/true", .descriptors = low}, Errc::invalid, "descriptor");
    const std::vector<PassedFd> many(40, PassedFd{1, 9});
    check_failure({.path = "/bin/true", .descriptors = many}, Errc::too_large, "descriptors");
    const Arguments arguments(Process::arguments_max + 1, "x");
    check_failure({.path = "/bin/true", .arguments = arguments}, Errc::too_large, "arguments");
    const Arguments environment(Process::environment_max + 1, "X=1");
    check_failure({.path = "/bin/true", .environment = environment}, Errc::too_large, "environment");
}

TEST_CASE("a program that cannot be started leaves no zombie, though signals interrupt everything") {
    skip_on_simulated();
    struct sigaction counting {};
    counting.sa_handler = [](int) {};
    struct sigaction before {};
    REQUIRE(::sigaction(SIGALRM, &counting, &before) == 0);
    const itimerval often{.it_interval = {0, 50}, .it_value = {0, 50}};
    REQUIRE(::setitimer(ITIMER_REAL, &often, nullptr) == 0);
    std::uint32_t refused = 0;
    const std::uint32_t tries = repeats(1'000);
    for (std::uint32_t i = 0; i < tries; ++i) {
        if (code_of(Process::spawn({.path = "/nonexistent"})) == Errc::not_found) ++refused;
    }
    const itimerval off{};
    ::setitimer(ITIMER_REAL, &off, nullptr);
    ::sigaction(SIGALRM, &before, nullptr);
    CHECK(refused == tries);
    CHECK(no_children());
}

TEST_CASE("without close_range, too, only passed descriptors reach the child") {
    skip_on_simulated();
    constexpr long close_range_number = 436;
    const auto end = run_in_child([] {
        const int stray = ::fcntl(2, F_DUPFD, 50);
        if (stray < 50) return 2;
        if (!forbid_call(close_range_number, EINVAL)) return 77;
        const Outcome got = run_shell("for f in /proc/self/fd/*; do echo $f; done");
        if (!got.status.success()) return 3;
        return got.output.find("/" + std::to_string(stray) + "\n") == std::string::npos ? 0 : 1;
    });
    if (end.exit_status == 77) skip("seccomp is not to be had here");
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("spawning leaves no descriptor behind, whether it succeeds or not") {
    skip_on_simulated();
    const auto lowest = [] { return Fd(::fcntl(0, F_DUPFD_CLOEXEC, 0)).get(); };
    const int before = lowest();
    for (int i = 0; i < 3; ++i) {
        std::ignore =
            Process::spawn({.path = "/no/such/program", .input = Stdio::pipe(), .output = Stdio::pipe()});
        std::ignore = Process::spawn({.path = "/bin/true", .input = Stdio::pipe(), .error = Stdio::null()});
    }
    CHECK(lowest() == before);
    CHECK(no_children());
}

}  // namespace
