// SPDX-License-Identifier: MIT
//
// What a client of the alarm server reads: a line of text per event.
//
//   2020-03-01 15:52:35 alarm raised: T-squared 141.3, threshold 59.5, sample 510 of recording 0
//   2020-03-01 16:04:10 alarm cleared: T-squared 12.0, threshold 59.5, sample 1205 of recording 0
//   517 s learned 400 samples: threshold 55.1, ignored signals: none, recording 0
//
// A recording's time is shown as a date, the simulated loop's as seconds. Lines end in LF.
#pragma once

#include "bounded_text.hpp"
#include "wire.hpp"

#include <cstdint>

namespace leak {

using AlarmLine = BoundedText<320>;

/// Loop time as people read it.
BoundedText<24> loop_time_text(std::int64_t time_s);

AlarmLine line_of(const Announcement& announcement);

/// How things stand after a sample.
AlarmLine state_line(const Point& point);

}  // namespace leak
