// SPDX-License-Identifier: MIT
#include <weir/weir.hpp>

#include "support/child.hpp"
#include "support/skip.hpp"

#include "program.hpp"

#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <sched.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace std::chrono_literals;
using weir::Errc;
using weir::Scheduler;
using weir::Task;
using weir::test::ChildEnd;
using weir::test::options_of_this_run;
using weir::test::run_in_child;

namespace {

constexpr weir::Budget short_grace{
    .frame_bytes = 16 * 1024, .submissions = 8, .descriptors = 8, .grace_ms = 30};
constexpr weir::Budget divided_badly{.frame_bytes = 1'024, .frame_classes = {{{512, 3}}}};
constexpr weir::Budget without_room{.frame_bytes = 64};

template <weir::Budget budget = weir::small_budget, class Serve>
ChildEnd end_of(Serve serve, const weir::StartOptions& options = options_of_this_run()) {
    return run_in_child([&] {
        std::string name = "program";
        std::string argument = "argument";
        char* arguments[] = {name.data(), argument.data(), nullptr};
        return weir::run_main<budget>(2, arguments, serve, options);
    });
}

Task<> ends_well(Scheduler&) {
    WEIR_CO_CHECK(weir::sleep_for(1ms));
}
Task<> ends_badly(Scheduler&) {
    co_return co_await weir::fail(Errc::in_use, "bind", 4711);
}
Task<> takes_arguments(Scheduler&, weir::Arguments arguments) {
    if (arguments.size() != 2 || std::string(arguments[1]) != "argument") {
        co_return co_await weir::fail(Errc::invalid, "arguments");
    }
}

Task<> ignores_its_stop(Scheduler&) {
    const auto slept = co_await weir::shielded(1h, weir::sleep_for(2h));
    WEIR_CO_CHECK(slept);
}
Task<> stops_the_program(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::yield());
    scheduler.request_stop();
}
Task<> stuck(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::all_of(ignores_its_stop(scheduler), stops_the_program(scheduler)));
}
Task<> stuck_in_first_of(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::first_of(ignores_its_stop(scheduler), ends_well(scheduler)));
}
/// Of what is stopped here one part ends in time and another does not.
Task<> body_that_waits(Scheduler&, weir::Group&) {
    WEIR_CO_CHECK(weir::sleep_for(1h));
}
Task<> stuck_beside_a_group(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::first_of(ends_well(scheduler), ignores_its_stop(scheduler),
                                 weir::with_group<1>(scheduler, body_that_waits)));
}
/// Stopped from within, then from outside.
Task<> body_that_stops_twice(Scheduler& scheduler, weir::Group& group) {
    group.request_stop();
    scheduler.request_stop();
    co_return;
}
Task<> stuck_after_a_group(Scheduler& scheduler) {
    const auto ended = co_await weir::with_group<1>(scheduler, body_that_stops_twice);
    static_cast<void>(ended);
    WEIR_CO_CHECK(weir::shielded(1h, weir::sleep_for(2h)));
}
Task<> body_that_stops(Scheduler& scheduler, weir::Group& group) {
    WEIR_CO_CHECK(group.spawn(ignores_its_stop(scheduler)));
    WEIR_CO_CHECK(weir::yield());
    group.request_stop();
}
Task<> stuck_in_group(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::with_group<2>(scheduler, body_that_stops));
}
Task<> spins_for_ever(Scheduler&) {
    for (;;) {
        const auto yielded = co_await weir::yield();
        static_cast<void>(yielded);  // the bug that this is about
    }
}
Task<> stuck_spinning(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::all_of(spins_for_ever(scheduler), stops_the_program(scheduler)));
}
Task<> slow_but_in_time(Scheduler& scheduler) {
    const auto both =
        co_await weir::all_of(weir::shielded(1h, weir::sleep_for(5ms)), stops_the_program(scheduler));
    WEIR_CO_CHECK(both);
}
/// The stop of a part of the program, long ago, does not count against what goes on after it.
Task<> goes_on(Scheduler& scheduler) {
    const auto first = co_await weir::first_of(weir::sleep_for(1h), weir::yield());
    if (first.index() != 1) co_return co_await weir::fail(Errc::invalid, "first_of");
    const auto body = [](Scheduler&, weir::Group& group) -> Task<> {
        group.request_stop();
        co_return;
    };
    WEIR_CO_CHECK(weir::with_group<1>(scheduler, body));
    WEIR_CO_CHECK(weir::sleep_for(60ms));
}

void check_stuck(const ChildEnd& end, const std::string& task) {
    INFO(end.errors);
    CHECK(end.exit_status == 70);
    CHECK(end.errors.find(task) != std::string::npos);
    CHECK(end.errors.find("awaits") != std::string::npos);
    CHECK(end.errors.find("run_main: the stopped program does not end (") != std::string::npos);
}

}  // namespace

TEST_CASE("a program that ends well exits with 0 and says nothing") {
    const auto end = end_of(ends_well);
    CHECK(end.exit_status == 0);
    CHECK(end.errors.empty());
    CHECK(end_of(takes_arguments).exit_status == 0);
}

TEST_CASE("a program that fails exits with 1 and one line on standard error") {
    const auto end = end_of(ends_badly);
    CHECK(end.exit_status == 1);
    CHECK(end.errors == "bind: already in use (by process 4711)\n");
}

TEST_CASE("a program whose scheduler cannot start exits with 1 and says why") {
    const auto end = end_of<divided_badly>(ends_well);
    CHECK(end.exit_status == 1);
    CHECK(end.errors ==
          "Budget::frame_classes: no task frame is left (Budget::frame_bytes is 1024, it would take 1536)\n");
}

TEST_CASE("a program whose budget has no room for its root task says how much it would take") {
    const auto end = end_of<without_room>(ends_well);
    CHECK(end.exit_status == 1);
    const std::string begin = "root task: no task frame is left (Budget::frame_bytes is 64, it would take ";
    REQUIRE(end.errors.rfind(begin, 0) == 0);
    // With what it says there is room.
    CHECK(std::stoul(end.errors.substr(begin.size())) <= 1'024);
    CHECK(std::stoul(end.errors.substr(begin.size())) > 64);
}

TEST_CASE("a stopped program that does not end in its grace exits with 70 and names its tasks") {
    check_stuck(end_of<short_grace>(stuck), "ignores_its_stop");
    check_stuck(end_of<short_grace>(stuck_in_first_of), "ignores_its_stop");
    check_stuck(end_of<short_grace>(stuck_in_group), "ignores_its_stop");
    check_stuck(end_of<short_grace>(stuck_beside_a_group), "ignores_its_stop");
    check_stuck(end_of<short_grace>(stuck_after_a_group), "stuck_after_a_group");
}

TEST_CASE("a stopped program that spins instead of ending exits with 70 too") {
    if (weir::test::on_simulated()) weir::test::skip("simulated time stands still while anything is ready");
    check_stuck(end_of<short_grace>(stuck_spinning), "spins_for_ever");
}

TEST_CASE("a stopped program that ends in its grace exits as its root task says") {
    const auto end = end_of<short_grace>(slow_but_in_time);
    CHECK(end.errors.empty());
    CHECK(end.exit_status == 0);
}

TEST_CASE("the end of one part of a program does not count as the program's stop") {
    const auto end = end_of<short_grace>(goes_on);
    CHECK(end.errors.empty());
    CHECK(end.exit_status == 0);
}

namespace {

/// How often the kernel switched away from `pid` so far; -1 while it is not asleep, or where /proc does not say it.
long switches_of_sleeper(pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    bool asleep = false;
    long switches = 0;
    int lines = 0;
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("State:", 0) == 0) asleep = line.find('S', 6) != std::string::npos;
        const auto at = line.find("voluntary_ctxt_switches:");  // and nonvoluntary
        if (at == std::string::npos) continue;
        switches += std::stol(line.substr(line.find(':') + 1));
        ++lines;
    }
    return asleep && lines == 2 ? switches : -1;
}

int quiet_pipe = -1;  // nobody writes to it
int told_pipe = -1;

Task<> says_that_it_waits(Scheduler&) {
    WEIR_CO_TRY(auto quiet, weir::PipeReader::adopt(quiet_pipe));
    std::byte byte{};
    if (::write(told_pipe, &byte, 1) != 1) co_return co_await weir::fail(Errc::system, "write");
    WEIR_CO_CHECK(quiet.read({&byte, 1}).within(1h));
}

}  // namespace

TEST_CASE("an idle service does not wake at all") {
    if (weir::test::on_simulated()) weir::test::skip("its kernel has no processes that could sleep");
    // Long enough to see what wakes once a second; WEIR_IDLE_SECONDS looks longer.
    const char* const asked = std::getenv("WEIR_IDLE_SECONDS");
    const auto span = std::chrono::seconds(asked != nullptr ? std::atoi(asked) : 2);
    int quiet[2];
    int told[2];
    REQUIRE(::pipe2(quiet, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(told, O_CLOEXEC) == 0);
    quiet_pipe = quiet[0];
    told_pipe = told[1];
    const pid_t service = ::fork();
    REQUIRE(service >= 0);
    if (service == 0) {
        ::close(quiet[1]);
        char name[] = "service";
        char* arguments[] = {name, nullptr};
        ::_exit(weir::run_main(1, arguments, says_that_it_waits, options_of_this_run()));
    }
    ::close(quiet[0]);
    ::close(told[1]);
    char byte;
    const bool waits = ::read(told[0], &byte, 1) == 1;
    // It has told before it waits; from there on the first sleep is the last.
    long before = -1;
    const auto patience = std::chrono::steady_clock::now() + 10s;
    while (waits && (before = switches_of_sleeper(service)) < 0 &&
           std::chrono::steady_clock::now() < patience) {
        ::sched_yield();
    }
    std::this_thread::sleep_for(span);  // what is measured
    const long after = switches_of_sleeper(service);
    ::close(quiet[1]);
    ::close(told[0]);
    int status = -1;
    ::waitpid(service, &status, 0);
    CHECK(status == 0);  // the end of the stream ended it
    if (before < 0) weir::test::skip("/proc does not say here how often a process was switched");
    CHECK(before > 0);
    CHECK(after == before);
}
