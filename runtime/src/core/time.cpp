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

// The upper half of the product, by the schoolbook.
constexpr std::uint64_t high_product(std::uint64_t a, std::uint64_t b) noexcept {
    constexpr std::uint64_t low_half = 0xffff'ffff;
    const std::uint64_t low = (a & low_half) * (b & low_half);
    const std::uint64_t middle = (a >> 32) * (b & low_half) + (low >> 32);
    const std::uint64_t other_middle = (a & low_half) * (b >> 32) + (middle & low_half);
    return (a >> 32) * (b >> 32) + (middle >> 32) + (other_middle >> 32);
}

// A multiplication by the reciprocal, rounded up, of 5^9 and the rest of 2^9 * 5^9: exact for 55 bits, and shifting leaves
// no more. Granlund and Montgomery, "Division by invariant integers using multiplication", PLDI 1994.
constexpr std::uint64_t seconds_of(std::uint64_t ns) noexcept {
    return high_product(ns >> 9, 0x0044'b82f'a09b'5a53) >> 11;
}
static_assert(seconds_of(999'999'999) == 0 && seconds_of(1'000'000'000) == 1);
static_assert(seconds_of(~std::uint64_t{0}) == ~std::uint64_t{0} / 1'000'000'000);

}  // namespace

SplitSpan split(Duration span) noexcept {
    const auto ns = static_cast<std::uint64_t>(span.count());
    const std::uint64_t seconds = seconds_of(ns);
    return {static_cast<std::int64_t>(seconds), static_cast<std::int32_t>(ns - seconds * 1'000'000'000)};
}

std::int64_t to_ms(Duration span) noexcept {
    const SplitSpan parts = split(span.count() < 0 ? -span : span);
    const std::int64_t ms = parts.seconds * 1'000 + parts.nanoseconds / 1'000'000;
    return span.count() < 0 ? -ms : ms;
}

MonotonicClock::time_point MonotonicClock::now() noexcept {
    return read(CLOCK_MONOTONIC);
}

MonotonicClock::time_point MonotonicClock::recent() noexcept {
    return read(CLOCK_MONOTONIC_COARSE);
}

}  // namespace weir
