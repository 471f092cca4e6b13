// SPDX-License-Identifier: MIT
//
// Random numbers that are the same on every machine.
//
// The generator is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). The
// bell-shaped numbers are sums of twelve even ones (Irwin-Hall): only additions and products of doubles, no
// function of libm, whose last bit differs between libraries. Their tails end at six standard deviations.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leak {

class Noise {
public:
    explicit constexpr Noise(std::uint64_t seed) : state_(seed) {}

    constexpr std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15u;
        std::uint64_t bits = state_;
        bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
        bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
        return bits ^ (bits >> 31);
    }

    /// Mean 0, standard deviation 1, always within -6 and 6.
    constexpr double normal() {
        std::int64_t sum = 0;
        for (int word = 0; word < 3; ++word) {
            const std::uint64_t bits = next();
            for (unsigned shift = 0; shift < 64; shift += 16) {
                sum += static_cast<std::int64_t>((bits >> shift) & 0xffffu);
            }
        }
        // Twelve numbers of 0 to 65535: the mean is 12 x 32767.5, one of them spread over 65536 has variance
        // 1/12.
        return (static_cast<double>(sum) - 393'210.0) / 65'536.0;
    }

    /// One of 0 to `count` - 1; `count` is small against 2^64, and not 0.
    constexpr std::size_t index(std::size_t count) { return static_cast<std::size_t>(next() % count); }

private:
    std::uint64_t state_;
};

}  // namespace leak
