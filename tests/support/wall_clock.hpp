// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// A wall clock that jumps. While one of these lives, each reading of the wall clock in this program (clock_gettime,
/// gettimeofday, time, timespec_get, and what the C++ library makes of them) is hours away from the one before, now
/// ahead of what the machine says and now behind it. Running has one: whatever is tested with a scheduler, deadlines,
/// timers and rates among it, is tested under such a clock.
///
/// And nobody inside weir may ask for it: while the heap guard is armed on a thread, a reading there says so on stderr
/// with a backtrace and aborts the program. What is not interposed, waits of the kernel until an instant of the wall
/// clock, is not to be named in the sources: tools/lint/words.py.

#include <cstdint>

namespace weir::test {

class JumpingWallClock {
public:
    JumpingWallClock() noexcept;
    ~JumpingWallClock();
    JumpingWallClock(const JumpingWallClock&) = delete;
    JumpingWallClock& operator=(const JumpingWallClock&) = delete;
};

/// How often this program asked.
[[nodiscard]] std::uint64_t wall_clock_readings() noexcept;

}  // namespace weir::test
