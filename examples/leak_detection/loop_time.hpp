// SPDX-License-Identifier: MIT
//
// Loop time as text: `YYYY-MM-DD hh:mm:ss`, years 1970 to 9999, no time zone.
//
// Recordings carry no zone; the text is taken as if it were UTC, by the civil calendar's arithmetic and
// without libc, so that neither $TZ nor a 32-bit time_t changes anything. Leap seconds (`:60`) are refused.
#pragma once

#include "bounded_text.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace leak {

/// Seconds since 1970-01-01 00:00:00, or nothing if `text` is not exactly a date and time of the calendar.
std::optional<std::int64_t> parse_datetime(std::string_view text);

/// The inverse. A time outside of 1970 to 9999 is written as a bare number of seconds.
BoundedText<24> format_datetime(std::int64_t time_s);

}  // namespace leak
