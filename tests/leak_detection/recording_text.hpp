// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// Small recordings in memory, and all that a parser makes of them.

#include "recording.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace leak::test {

inline constexpr std::string_view header =
    "datetime;Accelerometer1RMS;Accelerometer2RMS;Current;Pressure;Temperature;Thermocouple;Voltage;"
    "Volume Flow RateRMS;anomaly;changepoint\n";
inline constexpr std::string_view first_line =
    "2020-03-01 15:44:06;0.08;0.13;1.27;0.054;92.2;22.2;209.6;76.1;0.0;0.0\n";
inline constexpr std::string_view second_line =
    "2020-03-01 15:44:07;0.09;0.14;1.28;-0.273;92;22.3;2.1e2;77;1.0;1\n";

inline std::string small_recording() {
    return std::string{header}.append(first_line).append(second_line);
}

struct Parsed {
    std::vector<Sample> samples;
    std::string error;

    friend bool operator==(const Parsed&, const Parsed&) = default;
};

/// Feeds `text` in pieces of the sizes that `piece_size` gives.
inline Parsed parse(std::string_view text, const std::function<std::size_t()>& piece_size) {
    Parsed parsed;
    RecordingParser parser{"small.csv"};
    Sample sample;
    auto step = RecordingParser::Step::more;
    while (!text.empty() && step != RecordingParser::Step::failed) {
        const auto size = std::min(text.size(), piece_size());
        std::span<const char> piece{text.data(), size};
        text.remove_prefix(size);
        while ((step = parser.next(piece, sample)) == RecordingParser::Step::sample)
            parsed.samples.push_back(sample);
    }
    while ((step = parser.finish(sample)) == RecordingParser::Step::sample) parsed.samples.push_back(sample);
    parsed.error = parser.error();
    return parsed;
}

inline Parsed parse(std::string_view text) {
    return parse(text, [text] { return text.size(); });
}

inline std::string error_of(std::string_view text) {
    return parse(text).error;
}

/// `text` with the first `from` in it replaced.
inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
    return text.replace(text.find(from), from.size(), to);
}

}  // namespace leak::test
