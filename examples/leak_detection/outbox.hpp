// SPDX-License-Identifier: MIT
//
// Samples that wait for their acknowledgement.
//
// A ring in the order of their sequences. put() adds at the end, next_to_send() walks, acknowledge() frees from the
// front, and rewind() walks again from the sample that a restarted detector asks for.
#pragma once

#include "wire.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace leak {

class Outbox {
public:
    static constexpr std::size_t samples_max = 128;

    /// Empties it; the next sample to be put is `sequence`.
    void begin(std::uint64_t sequence) { first_ = unsent_ = end_ = sequence; }

    bool full() const { return end_ - first_ == samples_max; }
    bool empty() const { return first_ == end_; }

    /// Its sequence is the one after the last. There must be room.
    void put(const JoinedSample& joined) { samples_[end_++ % samples_max] = joined; }

    /// The next sample that was not sent yet, or null.
    const JoinedSample* next_to_send() {
        return unsent_ == end_ ? nullptr : &samples_[unsent_++ % samples_max];
    }

    /// All samples up to `sequence` are safe. Gives the one of `sequence`, or null if it is not among those that
    /// were sent and wait (it may have been acknowledged before).
    const JoinedSample* acknowledge(std::uint64_t sequence) {
        if (sequence < first_ || sequence >= unsent_) return nullptr;
        first_ = sequence + 1;
        return &samples_[sequence % samples_max];
    }

    /// Sends again from `sequence` on, which makes all before it safe. False if that sample is not here any more, or
    /// never was.
    bool rewind(std::uint64_t sequence) {
        if (sequence < first_ || sequence > end_) return false;
        first_ = unsent_ = sequence;
        return true;
    }

private:
    std::array<JoinedSample, samples_max> samples_{};
    std::uint64_t first_ = 0;   // not acknowledged
    std::uint64_t unsent_ = 0;  // not sent
    std::uint64_t end_ = 0;
};

}  // namespace leak
