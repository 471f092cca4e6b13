// SPDX-License-Identifier: MIT
//
// The command line that the programs share.
//
//   --recording FILE   replay a recording; without it the loop is simulated
//   --speed N|max      N seconds of loop time per second, or as fast as possible; by default 20, and with
//                      --leak-at as fast as possible
//   --seconds N        stop after N seconds of loop time
//   --leak-at T        simulated loop only: a leak opens at loop time T, which must come after the learning
//   --seed N           simulated loop only: its noise
//   --score FILE...    score detection on labelled recordings; all words up to the next option are files
//   --log FILE         write the samples to a new file, as a recording
//   --config FILE      settings that SIGHUP reads again, see settings.hpp
//   --user NAME        as root: the one user that all other processes become
//   --user-base N      as root, without --user: the first of the four users that they become, 61000 by default
//   --listen ADDRESS   where the web page and the alarms are served by TCP, 127.0.0.1 by default
//   --page-port N      the page's port, any free one by default
//   --alarm-port N     the port of clients by TCP, any free one by default
//   --backend NAME     which of weir's backends to use
//   --help
//
// and those that the programs give to each other, which the help does not name:
//
//   --directory PATH   where sockets, FIFO and state lie
//   --number N         which recording this is
//   --peer-user N      the user of acquisition (of the detector, for acquisition), if it is not one's own
//   --viewer-user N, --logger-user N   who may see the samples besides the detector, if it is not one's own
//   --page-descriptor N   the page's listening socket
//   --alarm-descriptor N  the clients' listening socket
//   --descriptor N     the recording is open already, as descriptor N
//   --labelled yes     the recording must have labels
//   --signal N         which signal to send
//   --from N           how many samples to leave out at the start
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
    static constexpr double speed_default = 20.0;  // learned after 20 s: a spectator stays

    std::optional<const char*> recording;
    Speed speed = speed_default;
    std::optional<std::int64_t> seconds;
    std::optional<std::int64_t> leak_at_s;
    std::uint64_t seed = 1;
    const char* log = nullptr;
    const char* config = nullptr;
    const char* user = nullptr;
    std::optional<std::uint32_t> user_base;
    std::optional<std::string_view> backend;
    std::array<const char*, score_files_max> score_files{};
    std::size_t score_files_count = 0;
    const char* listen = "127.0.0.1";
    std::uint16_t page_port = 0;
    std::uint16_t alarm_port = 0;
    bool help = false;

    const char* directory = "";
    std::uint32_t number = 0;
    int descriptor = -1;
    std::int64_t peer_user = -1;
    std::int64_t viewer_user = -1;
    std::int64_t logger_user = -1;
    int page_descriptor = -1;
    int alarm_descriptor = -1;
    bool labelled = false;
    std::uint32_t signal = 0;
    std::uint64_t from = 0;

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
