// SPDX-License-Identifier: MIT
//
// Takes the place of glibc's functions for the whole program, as the heap guard does. Other clocks are handed on.
#include "wall_clock.hpp"

#include "heap_guard.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>
#include <execinfo.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace {

using ReadClock = int (*)(clockid_t, timespec*);

std::atomic<std::uint64_t> readings{0};
std::atomic<int> jumping{0};

// Where `long` is short this build's time is not, and glibc has another name for it.
ReadClock real() noexcept {
    static std::atomic<ReadClock> found{nullptr};
    ReadClock read = found.load(std::memory_order_relaxed);
    if (read == nullptr) {
        const char* const name =
            sizeof(long) < sizeof(timespec::tv_sec) ? "__clock_gettime64" : "clock_gettime";
        read = reinterpret_cast<ReadClock>(::dlsym(RTLD_NEXT, name));
        if (read == nullptr) std::abort();
        found.store(read, std::memory_order_relaxed);
    }
    return read;
}

bool is_wall(clockid_t clock) noexcept {
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_REALTIME_ALARM ||
           clock == CLOCK_TAI;
}

void refuse_inside_weir() noexcept {
    if (!weir::test::heap_guard::armed()) return;
    const weir::test::HeapPermit permit;
    constexpr char line[] = "wall clock: read inside weir\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line, sizeof(line) - 1);
    std::array<void*, 48> frames{};
    const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    ::backtrace_symbols_fd(frames.data(), count, STDERR_FILENO);
    std::abort();
}

int read_wall(clockid_t clock, timespec& now) noexcept {
    refuse_inside_weir();
    const int status = real()(clock, &now);
    const std::uint64_t reading = readings.fetch_add(1, std::memory_order_relaxed);
    if (jumping.load(std::memory_order_relaxed) == 0) return status;
    const auto hours = static_cast<decltype(now.tv_sec)>(1 + reading % 24);
    now.tv_sec += reading % 2 == 0 ? 3'600 * hours : -3'600 * hours;
    return status;
}

}  // namespace

namespace weir::test {

JumpingWallClock::JumpingWallClock() noexcept {
    jumping.fetch_add(1);
}
JumpingWallClock::~JumpingWallClock() {
    jumping.fetch_sub(1);
}

std::uint64_t wall_clock_readings() noexcept {
    return readings.load();
}

}  // namespace weir::test

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
    return is_wall(clock) ? read_wall(clock, *now) : real()(clock, now);
}

int gettimeofday(timeval* __restrict now, void* __restrict) noexcept {
    timespec exact{};
    const int status = read_wall(CLOCK_REALTIME, exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = static_cast<decltype(now->tv_usec)>(exact.tv_nsec / 1'000);
    return status;
}

time_t time(time_t* now) noexcept {
    timespec exact{};
    if (read_wall(CLOCK_REALTIME, exact) != 0) return -1;
    if (now != nullptr) *now = exact.tv_sec;
    return exact.tv_sec;
}

int timespec_get(timespec* now, int base) noexcept {
    return base == TIME_UTC && read_wall(CLOCK_REALTIME, *now) == 0 ? base : 0;
}

}  // extern "C"
