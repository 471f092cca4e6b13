// SPDX-License-Identifier: MIT
//
// Timers: a million of them live all the time, half of them cancelled.
//
// The load: each timer gets a deadline at random within the next 60 s. Time moves in steps of 1 ms
// and never by a real clock. In each step the timers that are due fire, as many others, picked at
// random, are cancelled, and every one that ended is armed again. So a million stay live, half of
// those that end are cancelled, and the population is not all new. An operation is one timer's
// life: armed, then fired or cancelled. A turn is one step.
//
// The load is the same in every run, for the numbers are pseudo-random from a fixed seed. The figure
// is a mean over all steps and not a median: a timer structure may do its dearest work rarely, and
// that has to count.

#pragma once

#include "measurement.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bench {

inline constexpr std::size_t timer_count = 1'000'000;
inline constexpr std::chrono::milliseconds timer_span{60'000};
inline constexpr std::chrono::milliseconds timer_step{1};

class TimerLoad {
public:
    /// More than zero and up to `timer_span`, to the nanosecond.
    [[nodiscard]] std::chrono::nanoseconds random_delay() noexcept {
        constexpr auto span_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(timer_span).count());
        return std::chrono::nanoseconds(1 + scaled(span_ns));
    }
    [[nodiscard]] std::size_t random_index() noexcept { return scaled(timer_count); }

private:
    // xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators"), scaled
    // by a multiplication: about 1 ns, which every variant pays alike.
    [[nodiscard]] std::uint64_t scaled(std::uint64_t limit) noexcept {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        const std::uint64_t upper_half = (state_ * 0x2545F4914F6CDD1DULL) >> 32;
        // A span of 6e10 ns exceeds 32 bits: scale it in units of 1,024 and fill up the rest.
        if (limit > 0xFFFF'FFFFULL) return (upper_half * (limit >> 10) >> 32 << 10) + (state_ & 1023);
        return (upper_half * limit) >> 32;
    }

    std::uint64_t state_ = 0x9E3779B97F4A7C15ULL;
};

/// Takes the time of all turns together and of the longest.
class Turns {
public:
    void begin() noexcept { began_ns_ = now_ns(); }
    void end(std::size_t timers_ended) noexcept {
        const std::uint64_t taken_ns = now_ns() - began_ns_;
        total_ns_ += taken_ns;
        longest_ns_ = std::max(longest_ns_, taken_ns);
        timers_ended_ += timers_ended;
    }
    [[nodiscard]] std::uint64_t total_ns() const noexcept { return total_ns_; }
    [[nodiscard]] std::uint64_t longest_ns() const noexcept { return longest_ns_; }
    [[nodiscard]] std::size_t timers_ended() const noexcept { return timers_ended_; }

private:
    std::uint64_t began_ns_ = 0;
    std::uint64_t total_ns_ = 0;
    std::uint64_t longest_ns_ = 0;
    std::size_t timers_ended_ = 0;
};

/// The whole of `main`: `PROGRAM million STEPS`. 60,000 steps are the whole span.
int timers_main(std::span<char* const> arguments, Turns (*run)(std::size_t steps));

}  // namespace bench
