// SPDX-License-Identifier: MIT
#include "weir/core/time.hpp"

#include <time.h>

namespace weir {
namespace {

// The build asks for it where the C library's default is less, which ends in 2038.
static_assert(sizeof(time_t) == 8 && sizeof(timespec::tv_sec) == 8);

MonotonicClock::time_point read(clockid_t clock) noexcept {
    timespec now;
    ::clock_gettime(clock, &now);  // cannot fail: the clock exists and the pointer is good
    return MonotonicClock::time_point(std::chrono::seconds(now.tv_sec) +
                                      std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

MonotonicClock::time_point MonotonicClock::now() noexcept {
    return read(CLOCK_MONOTONIC);
}

MonotonicClock::time_point MonotonicClock::recent() noexcept {
    return read(CLOCK_MONOTONIC_COARSE);
}

}  // namespace weir
