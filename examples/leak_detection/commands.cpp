// SPDX-License-Identifier: MIT
//
// A line that is too long is swallowed up to its end and refused as one.
#include "commands.hpp"

#include "detector_model.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace leak {

namespace {

constexpr std::string_view blanks = " \t\r";

/// Takes the first word off `line`.
std::string_view take_word(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
    const auto word = line.substr(0, line.find_first_of(blanks));
    line.remove_prefix(word.size());
    return word;
}

}  // namespace

CommandError parse_command(std::string_view line, Command& command) {
    std::string_view rest = line;
    const auto word = take_word(rest);
    const auto value = take_word(rest);
    const auto excess = take_word(rest);
    Command taken;
    if (word == "pause") {
        taken.kind = Command::Kind::pause;
    } else if (word == "resume") {
        taken.kind = Command::Kind::resume;
    } else if (word == "status") {
        taken.kind = Command::Kind::status;
    } else if (word == "threshold") {
        taken.kind = Command::Kind::threshold;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), taken.factor);
        const bool whole = error == std::errc{} && end == value.data() + value.size();
        if (!whole || !(taken.factor > 0 && taken.factor <= factor_max)) {
            CommandError message{"threshold: "};
            value.empty() ? message.append("no number") : message.append_quoted(value);
            return message.append(", expected a number above 0 and up to 1000000");
        }
    } else {
        CommandError message;
        message.append_quoted(word).append(" is no command, expected pause, resume, threshold X or status");
        return message;
    }
    const auto too_much = taken.kind == Command::Kind::threshold ? excess : value;
    if (!too_much.empty()) {
        CommandError message{word};
        message.append(": ").append_quoted(too_much).append(" is too much, expected the end of the line");
        return message;
    }
    command = taken;
    return {};
}

CommandReader::Step CommandReader::next(std::span<const char>& chunk, Command& command) {
    while (!chunk.empty()) {
        const char character = chunk.front();
        chunk = chunk.subspan(1);
        if (character != '\n') {
            too_long_ = too_long_ || line_size_ == line_.size();
            if (!too_long_) line_[line_size_++] = character;
            continue;
        }
        const std::string_view line{line_.data(), line_size_};
        const bool too_long = too_long_;
        forget_rest();
        if (too_long) {
            error_.clear();
            error_.append("a line of more than ").append(line_bytes_max).append(" bytes is no command");
            return Step::refused;
        }
        if (line.find_first_not_of(blanks) == std::string_view::npos) continue;
        error_ = parse_command(line, command);
        return error_.empty() ? Step::command : Step::refused;
    }
    return Step::more;
}

void CommandReader::forget_rest() {
    line_size_ = 0;
    too_long_ = false;
}

}  // namespace leak
