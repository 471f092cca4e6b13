// SPDX-License-Identifier: MIT
#include "options.hpp"

#include "support/catch.hpp"

#include <string>
#include <vector>

using namespace leak;

namespace {

Options options_of(const std::vector<const char*>& arguments) {
    Options options;
    const auto error = parse_options(arguments, options);
    CHECK(error.view() == "");
    return options;
}

std::string error_of(const std::vector<const char*>& arguments) {
    Options options;
    return std::string{parse_options(arguments, options).view()};
}

}  // namespace

TEST_CASE("without arguments the loop is simulated at a pleasant speed") {
    const auto options = options_of({});
    CHECK(!options.recording);
    CHECK(options.speed == 20.0);
    CHECK(!options.seconds);
    CHECK(!options.leak_at_s);
    CHECK(options.seed == 1);
    CHECK(!options.backend);
    CHECK(options.files_to_score().empty());
}

TEST_CASE("options are taken with a blank or an equals sign") {
    auto options =
        options_of({"--speed", "2.5", "--seconds=900", "--leak-at", "450", "--seed=18446744073709551615"});
    CHECK(options.speed == 2.5);
    CHECK(options.seconds == 900);
    CHECK(options.leak_at_s == 450);
    CHECK(options.seed == 18'446'744'073'709'551'615u);
    options = options_of({"--recording=a=b.csv", "--speed=max", "--backend", "epoll"});
    CHECK(std::string_view{options.recording.value_or("")} == "a=b.csv");
    CHECK(!options.speed);
    CHECK(options.backend == "epoll");
    CHECK(options_of({"--help"}).help);
}

TEST_CASE("files to score go up to the next option") {
    const auto options = options_of({"--score", "a.csv", "b.csv", "--backend", "epoll"});
    REQUIRE(options.files_to_score().size() == 2);
    CHECK(std::string_view{options.files_to_score()[1]} == "b.csv");
    CHECK(error_of({"--score"}) == "--score: no value, expected the paths of 1 to 64 labelled recordings");
    std::vector<const char*> many(66, "a.csv");
    many[0] = "--score";
    CHECK(error_of(many) == "--score: \"a.csv\", expected the paths of 1 to 64 labelled recordings");
    many.pop_back();
    CHECK(error_of(many).empty());
}

TEST_CASE("a bad value is told with what was expected") {
    for (const char* const speed : {"0", "-1", "fast", "nan", "inf", "1e7", "2x", ""}) {
        CHECK(error_of({"--speed", speed}) ==
              "--speed: \"" + std::string{speed} + "\", expected a number above 0 and up to 1000000, or max");
    }
    CHECK(error_of({"--seconds", "1.5"}) == "--seconds: \"1.5\", expected a whole number of seconds above 0");
    CHECK(error_of({"--leak-at", "399"}) ==
          "--leak-at: \"399\", expected a whole number of seconds, at least 400 (before that it is learned "
          "as normal)");
    CHECK(error_of({"--seed", "-1"}) ==
          "--seed: \"-1\", expected a whole number from 0 to 18446744073709551615");
    CHECK(error_of({"--recording"}) == "--recording: no value, expected the path of a recording");
    CHECK(error_of({"--recording", "--speed"}) == "--recording: no value, expected the path of a recording");
    CHECK(error_of({"--recording="}) == "--recording: \"\", expected the path of a recording");
}

TEST_CASE("unknown, repeated and contradicting options are errors") {
    CHECK(error_of({"--sped", "1"}) ==
          "\"--sped\" is no option, expected one of --recording --speed --seconds --leak-at --seed --backend "
          "--score --log --config --user --user-base --listen --page-port --alarm-port --help");
    CHECK(error_of({"a.csv"}).starts_with("\"a.csv\" is no option's value, expected one of --recording"));
    CHECK(error_of({"--seed", "1", "--seed", "2"}) == "--seed is given twice, expected once");
    CHECK(error_of({"--recording", "a.csv", "--leak-at", "500"}) ==
          "--leak-at cannot be combined with --recording: give either a recording, files to score, or a "
          "simulated loop");
    CHECK(error_of({"--score", "a.csv", "--config", "c"})
              .starts_with("--config cannot be combined with --score"));
    CHECK(error_of({"--score", "a.csv", "--speed", "max"}) ==
          "--speed cannot be combined with --score: scoring reads whole files as fast as possible");
}

TEST_CASE("where only the verdict counts, nothing waits for a clock") {
    CHECK(!options_of({"--leak-at", "500"}).speed);
    CHECK(!options_of({"--score", "a.csv"}).speed);
    CHECK(options_of({"--leak-at", "500", "--speed", "7"}).speed == 7.0);
}

TEST_CASE("what programs give to each other is read as well") {
    const auto options = options_of({"--directory", "/tmp/x", "--number", "63", "--descriptor", "3",
                                     "--labelled", "yes", "--signal", "7", "--from", "1000"});
    CHECK(std::string_view{options.directory} == "/tmp/x");
    CHECK(options.number == 63);
    CHECK(options.descriptor == 3);
    CHECK(options.labelled);
    CHECK(options.signal == 7);
    CHECK(options.from == 1'000);
    CHECK(error_of({"--directory", "x"}) == "--directory: \"x\", expected an absolute path");
    CHECK(error_of({"--number", "64"}) == "--number: \"64\", expected a whole number below 64");
    CHECK(error_of({"--descriptor", "2"}) == "--descriptor: \"2\", expected a descriptor of 3 or more");
    CHECK(error_of({"--signal", "8"}) == "--signal: \"8\", expected a number from 0 to 7");
}
