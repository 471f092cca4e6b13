// SPDX-License-Identifier: MIT
//
// bench_deadline: clock_nanosleep() until each deadline and nothing else, with SCHED_FIFO and all memory locked: what the
// kernel makes of it.

#include "deadline.hpp"
#include "measurement.hpp"

#include <cerrno>
#include <cstdio>
#include <string_view>

#include <sched.h>
#include <sys/mman.h>
#include <time.h>

namespace bench {

namespace {

void wait_for_each(Deadlines& deadlines) {
    sched_param parameter{};
    parameter.sched_priority = deadline_priority;
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0 || sched_setscheduler(0, SCHED_FIFO, &parameter) != 0)
        skip("this needs RLIMIT_RTPRIO and RLIMIT_MEMLOCK, or root");
    constexpr std::uint64_t second_ns = 1'000'000'000;
    std::uint64_t due_ns = now_ns() + deadline_period_ns;
    for (std::size_t i = 0; i < deadlines.count; ++i) {
        const timespec due{.tv_sec = static_cast<time_t>(due_ns / second_ns),
                           .tv_nsec = static_cast<long>(due_ns % second_ns)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) == EINTR) {}
        deadlines.late_ns[i] = now_ns() - due_ns;
        do due_ns += deadline_period_ns;
        while (due_ns <= now_ns());
    }
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    if (argc == 3 && std::string_view(argv[1]) == "real-time")
        return bench::measure_deadlines(argv[2], bench::wait_for_each);
    std::fprintf(stderr, "usage: %s real-time DEADLINES\n", argv[0]);
    return 2;
}
