// SPDX-License-Identifier: MIT
#include <weir/weir.hpp>

#include "program.hpp"

#include "support/child.hpp"
#include "support/skip.hpp"

#include <cstdio>
#include <fstream>
#include <string>

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

using weir::RealTimeOptions;
using weir::Scheduler;
using weir::Task;
using weir::test::ChildEnd;
using weir::test::options_of_this_run;
using weir::test::run_in_child;

namespace {

constexpr int no_right_status = 77;

Task<> does_nothing(Scheduler&) {
    WEIR_CO_CHECK(weir::yield());
}

/// Runs a program in real time in a child; `then` looks at what became of the child.
ChildEnd end_of(
    const RealTimeOptions& options, int (*then)() = [] { return 0; }) {
    return run_in_child([&] {
        std::string name = "program";
        char* arguments[] = {name.data(), nullptr};
        const int status = weir::run_main(1, arguments, does_nothing, options_of_this_run(), options);
        return status != 0 ? status : then();
    });
}

std::uint64_t allowed_processors() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    REQUIRE(::sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < 64; ++i) {
        if (CPU_ISSET(i, &allowed)) found |= std::uint64_t{1} << i;
    }
    return found;
}

/// KiB that are locked, of this process.
long locked_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        long size = 0;
        if (word == "VmLck:" && status >> size) return size;
    }
    return -1;
}

/// AddressSanitizer's mlockall does nothing, since its shadow would not fit.
void skip_without_mlockall() {
    const auto end = run_in_child([] { return ::mlockall(MCL_CURRENT) == 0 && locked_kib() == 0 ? 1 : 0; });
    if (end.exit_status == 1) weir::test::skip("mlockall locks nothing in this build");
}

void skip_without_right(const ChildEnd& end) {
    if (end.errors.find("permission denied") != std::string::npos ||
        end.errors.find("no memory") != std::string::npos) {
        weir::test::skip("not allowed here: " + end.errors);
    }
}

/// How become_real_time() ends for somebody without rights, whose `limit` is zero.
ChildEnd refused(const RealTimeOptions& options, decltype(RLIMIT_RTPRIO) limit) {
    return weir::test::run_unprivileged([&] {
        const rlimit none{0, 0};
        if (::geteuid() == 0 || ::setrlimit(limit, &none) != 0) return no_right_status;
        const auto done = weir::become_real_time(options);
        if (done) return 1;
        char text[200];
        done.error().message(text);
        std::fputs(text, stderr);
        return 0;
    });
}

}  // namespace

TEST_CASE("a program in real time runs on the processors that it was given") {
    const std::uint64_t all = allowed_processors();
    if (all == 0) weir::test::skip("none of the first 64 processors is ours");
    const std::uint64_t one = all & (~all + 1);
    const auto end = end_of({.processors = one}, [] {
        cpu_set_t allowed;
        CPU_ZERO(&allowed);
        return ::sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_COUNT(&allowed) == 1 ? 0 : 5;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
    CHECK(end.errors.empty());
}

TEST_CASE("a program in real time has its memory locked") {
    skip_without_mlockall();
    const auto end = end_of({.lock_memory = true}, [] { return locked_kib() > 0 ? 0 : 5; });
    skip_without_right(end);
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("a program in real time is scheduled so, and its children are not") {
    const auto end = end_of({.fifo_priority = 7}, [] {
        sched_param parameters{};
        if (::sched_getscheduler(0) != (SCHED_FIFO | SCHED_RESET_ON_FORK)) return 5;
        if (::sched_getparam(0, &parameters) != 0 || parameters.sched_priority != 7) return 6;
        return run_in_child([] { return ::sched_getscheduler(0) == SCHED_OTHER ? 0 : 1; }).exit_status;
    });
    skip_without_right(end);
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("a priority in real time that we have no right to is an error that names the rights") {
    const auto end = refused({.fifo_priority = 50}, RLIMIT_RTPRIO);
    CHECK(end.exit_status == 0);
    CHECK(end.errors.rfind("SCHED_FIFO (RLIMIT_RTPRIO, CAP_SYS_NICE): permission denied", 0) == 0);
}

TEST_CASE("memory in real time that we have no right to lock is an error that names the rights") {
    skip_without_mlockall();
    const auto end = refused({.lock_memory = true}, RLIMIT_MEMLOCK);
    CHECK(end.exit_status == 0);
    CHECK(end.errors.rfind("mlockall (RLIMIT_MEMLOCK, CAP_IPC_LOCK): permission denied", 0) == 0);
}

TEST_CASE("options of real time that make no sense are an error before the program begins") {
    const auto priority = end_of({.fifo_priority = 100});
    CHECK(priority.exit_status == 1);
    CHECK(priority.errors == "RealTimeOptions::fifo_priority, which is at most 99: invalid argument (100)\n");
    const std::uint64_t all = allowed_processors();
    if (all >> 63 != 0) weir::test::skip("has 64 processors: none is certainly absent");
    const auto nowhere = end_of({.processors = std::uint64_t{1} << 63});
    CHECK(nowhere.exit_status == 1);
    CHECK(nowhere.errors.rfind("RealTimeOptions::processors: invalid argument", 0) == 0);
}
