// SPDX-License-Identifier: MIT
//
// The eight signals of the water loop, and one sample of them.
//
// A sample is what the loop's sensors showed at one moment of loop time. Loop time is in whole seconds: since
// 1970-01-01 for a recording, since its start for the simulated loop. Labels are what is known about the
// truth (the recording's `anomaly` and `changepoint`, the simulated leak): they serve scoring and never the
// detector.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace leak {

inline constexpr std::size_t signals_count = 8;

enum class Signal : std::uint8_t {
    accelerometer_1,  // g
    accelerometer_2,  // g
    current,          // A
    pressure,         // bar
    temperature,      // degrees C, the engine's body
    thermocouple,     // degrees C, the fluid
    voltage,          // V
    flow,             // l/min
};

/// The names that a recording's header uses, in the order of Signal.
inline constexpr std::array<std::string_view, signals_count> signal_names{
    "Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure",
    "Temperature",       "Thermocouple",      "Voltage", "Volume Flow RateRMS",
};

/// Their units, as UTF-8.
inline constexpr std::array<std::string_view, signals_count> signal_units{
    "g", "g", "A", "bar", "\u00b0C", "\u00b0C", "V", "l/min",
};

constexpr std::size_t index_of(Signal signal) {
    return static_cast<std::size_t>(signal);
}
constexpr std::string_view name_of(Signal signal) {
    return signal_names[index_of(signal)];
}

constexpr std::optional<Signal> signal_named(std::string_view name) {
    for (std::size_t index = 0; index < signals_count; ++index) {
        if (signal_names[index] == name) return static_cast<Signal>(index);
    }
    return std::nullopt;
}

using SignalValues = std::array<double, signals_count>;

struct Labels {
    bool anomaly = false;
    bool changepoint = false;

    friend bool operator==(const Labels&, const Labels&) = default;
};

struct Sample {
    std::int64_t time_s = 0;
    SignalValues values{};
    Labels labels;

    friend bool operator==(const Sample&, const Sample&) = default;
};

}  // namespace leak
