// SPDX-License-Identifier: MIT
//
// What an operator may write into the FIFO: a command per line.
//
//   pause          no more samples go to the detector
//   resume         they go on
//   threshold X    an anomaly is a T-squared above X times the learned percentile (3 at the start)
//   status         a line that says how things stand
//
// Blanks around words are ignored, and so are empty lines and a CR before the LF. Anything else is refused
// with a message that says what was expected; the commands after it are read as if nothing had been.
#pragma once

#include "bounded_text.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace leak {

struct Command {
    enum class Kind : std::uint8_t { pause, resume, threshold, status };

    Kind kind = Kind::status;
    double factor = 0;  // of `threshold`

    friend bool operator==(const Command&, const Command&) = default;
};

using CommandError = BoundedText<256>;

/// One line without its end. Gives an empty text, or what is wrong.
CommandError parse_command(std::string_view line, Command& command);

/// Cuts bytes from the FIFO into lines and those into commands.
class CommandReader {
public:
    static constexpr std::size_t line_bytes_max = 128;

    enum class Step : std::uint8_t {
        command,  // `command` was written
        refused,  // error() says why
        more,     // the chunk is used up
    };

    /// Takes bytes off the front of `chunk`.
    Step next(std::span<const char>& chunk, Command& command);

    /// The last writer has closed the FIFO: what it left of a line is no part of the next writer's.
    void forget_rest();

    std::string_view error() const { return error_.view(); }

private:
    std::array<char, line_bytes_max> line_{};
    std::size_t line_size_ = 0;
    bool too_long_ = false;
    CommandError error_;
};

}  // namespace leak
