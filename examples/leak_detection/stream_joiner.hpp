// SPDX-License-Identifier: MIT
//
// Eight streams of readings become one stream of samples.
//
// Each signal has its own stream; some run ahead of others, by at most `ahead_max` readings: a full stream's
// pipe is not read until there is room again, which holds its sensor back. A sample is made when every stream
// that is still open has a reading waiting: the earliest waiting time is the sample's, and the streams whose
// first reading has that time take part.
//
// What can be wrong, and the rule for it:
//   missing       a stream has no reading of that time (it jumped over it, or it ended): its value before
//                 stands in and its bit in `missing` is set. Before a stream's first reading there is nothing
//                 to stand in: such a sample is dropped, and counted.
//   duplicated    a sequence number that was there already (a restarted sensor repeats): ignored, counted.
//   lost          sequence numbers were jumped over: counted, the reading is taken.
//   out of order  time went back within a stream: ignored, counted.
// Two readings of one stream at the same time with sequences of their own are two samples, as in a recording
// with two lines in one second. Labels of a sample are those of its readings taken together.
#pragma once

#include "signals.hpp"
#include "wire.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace leak {

class StreamJoiner {
public:
    static constexpr std::size_t ahead_max = 64;

    enum class Push : std::uint8_t { taken, full, ended, duplicated, out_of_order };

    struct Troubles {
        std::uint64_t incomplete = 0;  // samples with a missing value
        std::uint64_t dropped = 0;     // samples given up
        std::uint64_t duplicated = 0;  // readings
        std::uint64_t lost = 0;        // readings
        std::uint64_t out_of_order = 0;

        bool none() const { return *this == Troubles{}; }
        friend bool operator==(const Troubles&, const Troubles&) = default;
    };

    /// `recording` is written into each sample. Sequences of readings and samples start at `first_sequence`:
    /// not 0 where a predecessor had come so far.
    explicit StreamJoiner(std::uint32_t recording, std::uint64_t first_sequence = 0)
        : recording_(recording), samples_count_(first_sequence) {
        for (Stream& stream : streams_) stream.expected_sequence = first_sequence;
    }

    /// After `full` the reading was not taken: push it again when a sample has been made.
    Push push(const Reading& reading);

    /// No more readings of this signal. Those that wait are still used.
    void end(Signal signal) { streams_[index_of(signal)].ended = true; }

    /// The sensor is back: its stream is waited for again.
    void reopen(Signal signal) { streams_[index_of(signal)].ended = false; }

    bool next(JoinedSample& joined);

    bool full(Signal signal) const { return streams_[index_of(signal)].count == ahead_max; }

    /// Where a restarted sensor has to go on.
    std::uint64_t expected_sequence(Signal signal) const {
        return streams_[index_of(signal)].expected_sequence;
    }

    /// All streams ended and all readings used.
    bool finished() const;

    const Troubles& troubles() const { return troubles_; }
    /// Of the recording, those before the first sequence included.
    std::uint64_t samples_count() const { return samples_count_; }

private:
    struct Waiting {
        std::int64_t time_s = 0;
        double value = 0;
        Labels labels;
    };

    struct Stream {
        std::array<Waiting, ahead_max> waiting{};  // a ring
        std::size_t first = 0;
        std::size_t count = 0;
        std::uint64_t expected_sequence = 0;
        std::int64_t last_time_s = 0;
        double last_value = 0;
        bool seen = false;       // a reading was pushed
        bool has_value = false;  // a reading was used: last_value can stand in
        bool ended = false;

        const Waiting& front() const { return waiting[first]; }
    };

    std::uint32_t recording_;
    std::uint64_t samples_count_ = 0;
    Troubles troubles_;
    std::array<Stream, signals_count> streams_{};
};

}  // namespace leak
