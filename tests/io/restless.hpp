// SPDX-License-Identifier: MIT
//
// Processes on every pair of backends, on one core and on two, that sleep at random, so that their waits begin and end at
// every distance from each other: for tests that no wake-up is lost.
#pragma once

#include "io/running.hpp"
#include "support/uring_probe.hpp"

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {

/// Far beyond what a sleeping peer takes: who waits that long was not woken.
inline constexpr Duration patience = std::chrono::seconds(20);

class Random {
public:
    explicit Random(std::uint32_t seed) noexcept : state_(seed * 2'654'435'761U + 1) {}
    std::uint32_t below(std::uint32_t limit) noexcept {
        state_ = state_ * 1'664'525U + 1'013'904'223U;
        return (state_ >> 8) % limit;
    }

private:
    std::uint32_t state_;
};

/// Mostly works on, sometimes spins for a moment, sometimes sleeps.
inline Task<> dawdle(Scheduler& scheduler, Random& random) {
    const std::uint32_t choice = random.below(16);
    if (choice < 10) co_return;
    if (choice < 13) {
        const Instant until = after(scheduler.now(), std::chrono::microseconds(random.below(30)));
        while (scheduler.now() < until) {}
        co_return;
    }
    WEIR_CO_CHECK(sleep_for(std::chrono::microseconds(random.below(200))));
}

template <Budget budget, class Make>
int status_of(BackendChoice backend, Make make) {
    StaticScheduler<budget> scheduler;
    if (!scheduler.start({.backend = backend, .environment = false})) return 2;
    const auto outcome = scheduler.run(make(scheduler));
    if (outcome) return 0;
    std::fprintf(stderr, "%s\n", Running::text_of_error(outcome).c_str());
    return 1;
}

/// A child on that many cores, which runs the task that `make(scheduler)` is and ends with 0 if it succeeds. Where the
/// seed is even its thread spins before it blocks.
template <class Make>
pid_t start_restless(int cores_count, BackendChoice backend, std::uint32_t seed, Make make) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int i = 0; i < cores_count; ++i) CPU_SET(static_cast<std::size_t>(i), &cores);
    if (::sched_setaffinity(0, sizeof(cores), &cores) != 0) ::_exit(3);
    constexpr Budget spins{.frame_bytes = 64 * 1024, .descriptors = 16, .links = 4};
    constexpr Budget never_spins{.frame_bytes = 64 * 1024, .descriptors = 16, .links = 4, .spin_us = 0};
    ::_exit(seed % 2 == 0 ? status_of<spins>(backend, make) : status_of<never_spins>(backend, make));
}

inline void must_all_succeed(std::initializer_list<pid_t> children) {
    for (const pid_t child : children) {
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
}

inline bool core_allowed(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    return ::sched_getaffinity(0, sizeof(cores), &cores) == 0 &&
           CPU_ISSET(static_cast<std::size_t>(core), &cores);
}

/// Calls `body(one, other, seed, span)` for each pair of real backends that are there. `seed` counts on by itself, and by
/// what the body adds; `span` is as many seconds as the variable says, or 0.2.
template <class Body>
void on_each_pair(const char* span_variable, Body body) {
    const char* const asked = std::getenv(span_variable);
    const auto span = saturating_ns(std::chrono::duration<double>(asked != nullptr ? std::atof(asked) : 0.2));
    const bool without_uring = !why_no_io_uring().empty();
    auto seed = static_cast<std::uint32_t>(first_seed());
    for (const auto one : {BackendChoice::epoll, BackendChoice::io_uring}) {
        for (const auto other : {BackendChoice::epoll, BackendChoice::io_uring}) {
            if (without_uring && (one == BackendChoice::io_uring || other == BackendChoice::io_uring))
                continue;
            body(one, other, seed, span);
            ++seed;
        }
    }
}

}  // namespace weir::test
