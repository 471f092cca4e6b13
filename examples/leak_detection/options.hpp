// SPDX-License-Identifier: MIT
//
// The command line that the programs share.
//
//   --recording FILE   replay a recording; without it the loop is simulated
//   --speed N|max      N seconds of loop time per second, 1 by default, or as fast as possible
//   --seconds N        stop after N seconds of loop time
//   --leak-at T        simulated loop only: a leak opens at loop time T, which must come after the learning
//   --seed N           simulated loop only: its noise
//   --score FILE...    score detection on labelled recordings; all words up to the next option are files
//   --backend NAME     which of weir's backends to use
//   --help
//
// `--option VALUE` and `--option=VALUE` are the same. An option given twice, an unknown one and options that
// exclude each other are errors; their messages say what was expected.
#pragma once

#include "bounded_text.hpp"
#include "detector_model.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace leak {

/// Loop time against the clock: nothing means as fast as possible.
using Speed = std::optional<double>;

struct Options {
    static constexpr std::size_t score_files_max = 64;
    static constexpr double speed_max = 1e6;

    std::optional<const char*> recording;
    Speed speed = 1.0;
    std::optional<std::int64_t> seconds;
    std::optional<std::int64_t> leak_at_s;
    std::uint64_t seed = 1;
    std::optional<std::string_view> backend;
    std::array<const char*, score_files_max> score_files{};
    std::size_t score_files_count = 0;
    bool help = false;

    std::span<const char* const> files_to_score() const {
        return std::span{score_files}.first(score_files_count);
    }
};

using OptionsError = BoundedText<320>;

/// One line per option, for --help.
std::string_view options_help();

/// Reads `arguments`, without the program's name; `options` keeps pointers into them. Gives an empty text, or
/// what is wrong (then `options` is to be ignored).
OptionsError parse_options(std::span<const char* const> arguments, Options& options);

}  // namespace leak
