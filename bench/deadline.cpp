// SPDX-License-Identifier: MIT
#include "deadline.hpp"

#include "measurement.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <vector>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr int hogs_count = 2;

/// Programs that compute without end, for as long as this one lives.
class Hogs {
public:
    Hogs() {
        for (pid_t& hog : pids_) {
            hog = fork();
            if (hog < 0) fail("fork");
            if (hog != 0) continue;
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (std::atomic<unsigned> turns = 0;;) turns.fetch_add(1, std::memory_order_relaxed);
        }
    }
    Hogs(const Hogs&) = delete;
    Hogs& operator=(const Hogs&) = delete;
    ~Hogs() {
        for (const pid_t hog : pids_) {
            kill(hog, SIGKILL);
            waitpid(hog, nullptr, 0);
        }
    }

private:
    pid_t pids_[hogs_count]{};
};

}  // namespace

int measure_deadlines(const char* count, void (*wait)(Deadlines&)) {
    std::vector<std::uint64_t> late_ns(count_from(count));
    pin_to_one_core();
    const Hogs hogs;
    Deadlines deadlines{late_ns.data(), late_ns.size()};
    wait(deadlines);
    std::sort(late_ns.begin(), late_ns.end());
    print_ns(static_cast<double>(late_ns[late_ns.size() / 2]));
    print_extra("p99_ns", static_cast<double>(late_ns[late_ns.size() * 99 / 100]));
    print_extra("worst_ns", static_cast<double>(late_ns.back()));
    if (deadlines.longest_turn_ns > 0)
        print_extra("worst_turn_ns", static_cast<double>(deadlines.longest_turn_ns));
    return 0;
}

}  // namespace bench
