// SPDX-License-Identifier: MIT
#include "commands.hpp"

#include "support/catch.hpp"

#include <string>
#include <vector>

using namespace leak;
using Kind = Command::Kind;
using Step = CommandReader::Step;

namespace {

std::string error_of(std::string_view line) {
    Command command;
    return std::string{parse_command(line, command).view()};
}

/// All that a reader makes of text in pieces: commands, and refusals as their messages.
struct Heard {
    std::vector<Command> commands;
    std::vector<std::string> refusals;
};

Heard heard(CommandReader& reader, std::string_view text, std::size_t piece_size) {
    Heard result;
    while (!text.empty()) {
        std::span<const char> piece{text.substr(0, piece_size)};
        text.remove_prefix(piece.size());
        Command command;
        for (auto step = reader.next(piece, command); step != Step::more;
             step = reader.next(piece, command)) {
            if (step == Step::command) result.commands.push_back(command);
            if (step == Step::refused) result.refusals.emplace_back(reader.error());
        }
    }
    return result;
}

}  // namespace

TEST_CASE("commands are understood, however blank the line") {
    Command command;
    CHECK(parse_command("pause", command).empty());
    CHECK(command.kind == Kind::pause);
    CHECK(parse_command("  resume \r", command).empty());
    CHECK(command.kind == Kind::resume);
    CHECK(parse_command("status", command).empty());
    CHECK(command.kind == Kind::status);
    CHECK(parse_command("threshold\t2.5 ", command).empty());
    CHECK(command == Command{Kind::threshold, 2.5});
}

TEST_CASE("a wrong command is told with what was expected") {
    CHECK(error_of("stop") == "\"stop\" is no command, expected pause, resume, threshold X or status");
    CHECK(error_of("PAUSE") == "\"PAUSE\" is no command, expected pause, resume, threshold X or status");
    CHECK(error_of("threshold") == "threshold: no number, expected a number above 0 and up to 1000000");
    for (const std::string bad : {"0", "-1", "nan", "inf", "3x", "1e9"}) {
        CHECK(error_of("threshold " + bad) ==
              "threshold: \"" + bad + "\", expected a number above 0 and up to 1000000");
    }
    CHECK(error_of("pause now") == "pause: \"now\" is too much, expected the end of the line");
    CHECK(error_of("threshold 3 4") == "threshold: \"4\" is too much, expected the end of the line");
}

TEST_CASE("lines are put together from pieces, and a bad one harms no other") {
    const std::string text =
        "pause\n\n  \nnonsense\nthreshold 4\n" + std::string(1'000, 'x') + "\nresume\nstat";
    for (const std::size_t piece_size : {1u, 7u, 5'000u}) {
        CommandReader reader;
        const auto result = heard(reader, text, piece_size);
        REQUIRE(result.commands.size() == 3);
        CHECK(result.commands[0].kind == Kind::pause);
        CHECK(result.commands[1] == Command{Kind::threshold, 4});
        CHECK(result.commands[2].kind == Kind::resume);
        REQUIRE(result.refusals.size() == 2);
        CHECK(result.refusals[1] == "a line of more than 128 bytes is no command");

        reader.forget_rest();
        CHECK(heard(reader, "status\n", piece_size).commands.size() == 1);
    }
}
