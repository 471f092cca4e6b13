// SPDX-License-Identifier: MIT
//
// A merge of eight short queues by the time of their first readings. Within a queue time never goes back, so
// the earliest first reading is the earliest of all that can still come.
#include "stream_joiner.hpp"

#include <algorithm>

namespace leak {

StreamJoiner::Push StreamJoiner::push(const Reading& reading) {
    Stream& stream = streams_[index_of(reading.signal)];
    if (stream.ended) return Push::ended;
    if (reading.sequence < stream.expected_sequence) {
        ++troubles_.duplicated;
        return Push::duplicated;
    }
    if (stream.count == ahead_max) return Push::full;

    troubles_.lost += reading.sequence - stream.expected_sequence;
    stream.expected_sequence = reading.sequence + 1;
    if (stream.seen && reading.time_s < stream.last_time_s) {
        ++troubles_.out_of_order;
        return Push::out_of_order;
    }
    stream.seen = true;
    stream.last_time_s = reading.time_s;
    stream.waiting[(stream.first + stream.count) % ahead_max] = {reading.time_s, reading.value,
                                                                 reading.labels};
    ++stream.count;
    return Push::taken;
}

bool StreamJoiner::next(JoinedSample& joined) {
    for (;;) {
        const Stream* earliest = nullptr;
        for (const Stream& stream : streams_) {
            if (stream.count == 0) {
                if (!stream.ended) return false;
            } else if (earliest == nullptr || stream.front().time_s < earliest->front().time_s) {
                earliest = &stream;
            }
        }
        if (earliest == nullptr) return false;

        JoinedSample made;
        made.sample.time_s = earliest->front().time_s;
        bool usable = true;
        for (std::size_t i = 0; i < signals_count; ++i) {
            Stream& stream = streams_[i];
            if (stream.count > 0 && stream.front().time_s == made.sample.time_s) {
                const Waiting& reading = stream.front();
                stream.last_value = reading.value;
                stream.has_value = true;
                made.sample.labels.anomaly = made.sample.labels.anomaly || reading.labels.anomaly;
                made.sample.labels.changepoint = made.sample.labels.changepoint || reading.labels.changepoint;
                stream.first = (stream.first + 1) % ahead_max;
                --stream.count;
            } else {
                made.missing = static_cast<std::uint8_t>(made.missing | 1u << i);
                usable = usable && stream.has_value;
            }
            made.sample.values[i] = stream.last_value;
        }
        if (!usable) {
            ++troubles_.dropped;
            continue;
        }
        if (made.missing != 0) ++troubles_.incomplete;
        made.recording = recording_;
        made.sequence = samples_count_++;
        joined = made;
        return true;
    }
}

bool StreamJoiner::finished() const {
    return std::all_of(streams_.begin(), streams_.end(),
                       [](const Stream& stream) { return stream.ended && stream.count == 0; });
}

}  // namespace leak
