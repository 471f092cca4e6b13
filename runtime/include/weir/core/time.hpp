// SPDX-License-Identifier: MIT
//
// Time.
//
// Only the monotonic clock exists here. An Instant is a point on it, in nanoseconds since boot; a Duration is
// nanoseconds. Instants of one machine mean the same in all its processes. The wall clock, which jumps, is
// never asked.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace weir {

/// Nanoseconds, signed, 64 bits: 292 years either way.
using Duration = std::chrono::nanoseconds;

/// CLOCK_MONOTONIC as a chrono clock. now() is one vdso call.
struct MonotonicClock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<MonotonicClock>;
    static constexpr bool is_steady = true;
    static time_point now() noexcept;
    /// What now() was at the kernel's last tick, some milliseconds ago at most: a quarter of the price.
    static time_point recent() noexcept;
};
/// A point on the monotonic clock.
using Instant = MonotonicClock::time_point;

/// "No deadline".
inline constexpr Instant never = Instant::max();

[[nodiscard]] constexpr std::int64_t to_ns(Instant instant) noexcept {
    return instant.time_since_epoch().count();
}
[[nodiscard]] constexpr Instant instant_of_ns(std::int64_t ns) noexcept {
    return Instant(Duration(ns));
}

/// Adds without wrapping: far futures saturate at `never`, and negative spans mean "now".
[[nodiscard]] constexpr Instant after(Instant start, Duration span) noexcept {
    if (span.count() <= 0) return start;
    const std::int64_t from = to_ns(start) > 0 ? to_ns(start) : 0;  // before zero there is always room
    const std::int64_t room = std::numeric_limits<std::int64_t>::max() - from;
    return span.count() >= room && to_ns(start) >= 0 ? never : start + span;
}

/// A span as the kernel takes it.
struct SplitSpan {
    std::int64_t seconds;
    std::int32_t nanoseconds;  ///< less than a second
};
/// Splits a span that is not negative. (Without a division, for which a machine of 32 bits needs a library.)
[[nodiscard]] SplitSpan split(Duration span) noexcept;
/// Whole milliseconds of any span but Duration::min(), rounded towards zero.
[[nodiscard]] std::int64_t to_ms(Duration span) noexcept;

/// Turns any chrono duration into nanoseconds, saturating instead of wrapping (24h * 1'000'000 is legal).
template <class Rep, class Period>
[[nodiscard]] constexpr Duration saturating_ns(std::chrono::duration<Rep, Period> span) noexcept {
    using Wide = std::chrono::duration<long double, std::nano>;
    const long double wide = Wide(span).count();
    if (wide >= 9.2e18L) return Duration::max();
    if (wide <= -9.2e18L) return Duration::min();
    return std::chrono::duration_cast<Duration>(span);
}

}  // namespace weir
