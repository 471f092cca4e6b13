// SPDX-License-Identifier: MIT
#include "recording_text.hpp"
#include "support/catch.hpp"
#include "support/skip.hpp"
#include "system.hpp"

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

using namespace leak::test;

namespace {

const std::string& good_recording() {
    static const std::string text = simulated_recording(1, 480, 560);
    return text;
}

std::string with_line(std::size_t number, const std::string& line) {
    std::istringstream lines{good_recording()};
    std::string text;
    std::size_t count = 0;
    for (std::string each; std::getline(lines, each);) text += (++count == number ? line : each) + "\n";
    return text;
}

std::string rearranged(bool reversed, const std::string& line_end, std::size_t left_out = 100) {
    std::istringstream lines{good_recording()};
    std::string text;
    for (std::string line; std::getline(lines, line);) {
        std::vector<std::string> fields;
        std::istringstream parts{line};
        for (std::string field; std::getline(parts, field, ';');) fields.push_back(field);
        if (left_out < fields.size()) fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(left_out));
        if (reversed) std::reverse(fields.begin(), fields.end());
        for (std::size_t i = 0; i < fields.size(); ++i) text += (i == 0 ? "" : ";") + fields[i];
        text += line_end;
    }
    return text;
}

struct Bad {
    std::string name;
    std::string text;
    std::string error;
};

const std::vector<Bad>& bad_recordings() {
    static const std::vector<Bad> all{
        {"column.csv", rearranged(false, "\n", 4), ":1:11: missing from the header: Pressure"},
        {"number.csv", with_line(500, "2020-09-13 12:35:00;abc;1;1;1;1;1;1;1;0;0"),
         ":500:2: Accelerometer1RMS: \"abc\" is not a number"},
        {"cut.csv", with_line(300, "2020-09-13 12:35:00;1;1;1"),
         ":300:5: Pressure: the line ends after 4 fields, but the header has 11"},
        {"empty.csv", "", ":1:1: the file is empty, a line with the columns' names was expected"},
        {"long.csv", with_line(2, std::string(1'000'000, 'x')),
         ":2:1: datetime: the line is longer than 4096 bytes"},
        {"labels.csv", rearranged(false, "\n", 9),
         ":1:11: missing from the header: anomaly, which scoring needs"},
        {"short.csv", good_recording().substr(0, good_recording().find('\n', 4'000) + 1),
         ": there is nothing to score"},
    };
    return all;
}

}  // namespace

TEST_CASE("a bad recording is told with file, line and column, and the others are scored") {
    const Folder folder;
    const auto good = folder.write("good.csv", good_recording());
    std::vector<std::string> arguments{"--score", good};
    for (const Bad& bad : bad_recordings()) arguments.push_back(folder.write(bad.name, bad.text));
    arguments.insert(arguments.end(), {folder.path(), folder.path() + "/nowhere.csv", good});
    System system{arguments};
    const auto& end = system.end();
    CAPTURE(end.output, end.errors);
    CHECK(end.status == 1);
    for (const Bad& bad : bad_recordings()) {
        const auto place = end.errors.find(folder.path() + "/" + bad.name);
        REQUIRE(place != std::string::npos);
        const auto line = end.errors.substr(place, end.errors.find('\n', place) - place);
        CHECK(line.find(bad.error) != std::string::npos);
    }
    CHECK(end.errors.find(folder.path() + ":1:1: this is a directory, a recording was expected\n") !=
          std::string::npos);
    CHECK(end.errors.find("/nowhere.csv:1:1: cannot be opened: No such file or directory\n") !=
          std::string::npos);
    CHECK(end.errors.find("no pooled figures: 9 of 11 recordings were not scored\n") != std::string::npos);
    // Nothing died of it, and the same recording has the same figures before and after.
    CHECK(end.errors.find("started again") == std::string::npos);
    CHECK(std::count(end.output.begin(), end.output.end(), '\n') == 2);
    const auto half = end.output.size() / 2;
    CHECK(end.output.substr(0, half) == end.output.substr(half));
}

TEST_CASE("a replayed recording that turns out bad is judged up to there") {
    const Folder folder;
    const Bad& bad = bad_recordings()[1];
    const auto path = folder.write(bad.name, bad.text);
    System system{{"--recording", path, "--speed", "max"}};
    CHECK(system.end().status == 1);
    CHECK(system.end().errors == path + bad.error + "\n");
    CHECK(system.end().output.find("learned 400 samples") != std::string::npos);
}

TEST_CASE("columns in another order and lines that end in CR LF change no figure") {
    const Folder folder;
    System system{{"--score", folder.write("a.csv", good_recording()),
                   folder.write("b.csv", rearranged(true, "\n")),
                   folder.write("c.csv", rearranged(true, "\r\n"))}};
    const auto& end = system.end();
    CHECK(end.status == 0);
    CHECK(end.errors == "");
    std::istringstream lines{end.output};
    std::vector<std::string> figures;
    for (std::string line; std::getline(lines, line);) figures.push_back(line.substr(line.find("F1 ")));
    REQUIRE(figures.size() == 4);
    CHECK(std::count(figures.begin(), figures.end(), figures.front()) == 4);
}

TEST_CASE("a wrong command line is told before anything starts") {
    System system{{"--speed", "fast"}};
    CHECK(system.end().status == 2);
    CHECK(system.end().errors ==
          "weir-leak: --speed: \"fast\", expected a number above 0 and up to 1000000, or max\n");
    System help{{"--help"}};
    CHECK(help.end().status == 0);
    CHECK(help.end().output.find("--leak-at T") != std::string::npos);
}
