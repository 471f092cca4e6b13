// SPDX-License-Identifier: MIT

#include "measurement.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include <sched.h>
#include <time.h>

namespace bench {

namespace {

constexpr int status_skipped = 77;  // the number that automake and meson use, too

}  // namespace

std::uint64_t now_ns() noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

void pin_to_one_core() {
    pin_to_core(0);
}

void pin_to_core(std::size_t skipped) {
    static const cpu_set_t allowed = [] {
        cpu_set_t now;
        if (sched_getaffinity(0, sizeof now, &now) != 0) fail("sched_getaffinity");
        return now;
    }();
    for (std::size_t cpu = CPU_SETSIZE; cpu-- > 0;) {
        if (!CPU_ISSET(cpu, &allowed) || skipped-- > 0) continue;
        cpu_set_t chosen;
        CPU_ZERO(&chosen);
        CPU_SET(cpu, &chosen);
        if (sched_setaffinity(0, sizeof chosen, &chosen) != 0) fail("sched_setaffinity");
        return;
    }
    skip("more CPUs are needed than this process may use");
}

std::size_t count_from(const char* text) {
    std::size_t count = 0;
    const char* const end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, count);
    if (error != std::errc{} || rest != end || count == 0) {
        std::fprintf(stderr, "%s: not a count\n", text);
        std::exit(2);
    }
    return count;
}

void fail(const char* what) {
    std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

void skip(const char* reason) {
    std::fprintf(stderr, "%s\n", reason);
    std::exit(status_skipped);
}

Batches::Batches(std::size_t operations, std::size_t batch_operations)
    : batch_operations_(batch_operations), laps_ns_((operations + batch_operations - 1) / batch_operations) {}

double Batches::median_ns() const {
    std::vector<std::uint64_t> sorted = laps_ns_;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    return static_cast<double>(*middle) / static_cast<double>(batch_operations_);
}

void print_ns(double per_operation_ns) {
    std::printf("%.2f\n", per_operation_ns);
}

void print_extra(const char* name, double value) {
    std::printf("%s %.2f\n", name, value);
}

}  // namespace bench
