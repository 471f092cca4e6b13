// SPDX-License-Identifier: MIT
#include "weir/core/time.hpp"

#include <time.h>

namespace weir {

MonotonicClock::time_point MonotonicClock::now() noexcept {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);  // cannot fail: the clock exists and the pointer is good
    return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace weir
