// SPDX-License-Identifier: MIT
//
// The file that `--config` names; SIGHUP reads it again.
//
//   # a comment
//   threshold 3.5    an anomaly is a T-squared above 3.5 times the learned percentile
//   clients 4        so many clients may read alarms at a time, 1 to 16
//
// Each line is a setting; what a file does not name stays as it is.
#pragma once

#include "bounded_text.hpp"

#include <cstdint>
#include <optional>

namespace leak {

struct Settings {
    std::optional<double> threshold;
    std::optional<std::uint32_t> clients;

    friend bool operator==(const Settings&, const Settings&) = default;
};

using SettingsError = BoundedText<512>;

/// Reads the file. Gives an empty text, or what is wrong, with file and line; then `settings` is as it was.
SettingsError read_settings(const char* path, Settings& settings);

}  // namespace leak
