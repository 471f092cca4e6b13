// SPDX-License-Identifier: MIT
#include "support/catch.hpp"
#include "support/skip.hpp"
#include "system.hpp"

#include <csignal>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <vector>

using namespace leak::test;

namespace {

std::vector<std::string> lines_of(const std::string& path) {
    std::ifstream file{path};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
}

/// The number behind the last ';'.
std::uint64_t sequence_of(const std::string& line) {
    return std::stoull(line.substr(line.rfind(';') + 1));
}

void check_gapless(const std::vector<std::string>& lines) {
    REQUIRE(lines.size() > 1);
    CHECK(lines[0].starts_with("datetime;Accelerometer1RMS;"));
    for (std::size_t i = 1; i < lines.size(); ++i) REQUIRE(sequence_of(lines[i]) == i - 1);
}

}  // namespace

TEST_CASE("what was logged is a recording in which the same leak is found") {
    const Folder folder;
    const auto log = folder.path() + "/log.csv";
    constexpr std::string_view raised = "alarm raised: T-squared ";
    // A logger that is kept waiting for longer than the topic keeps samples misses some.
    System system{{"--leak-at", "450", "--speed", emulated() ? "50" : "200", "--log", log}};
    const auto alarm = system.await_output(raised);
    CHECK(system.end().status == 0);
    CHECK(system.end().errors == "");
    check_gapless(lines_of(log));
    System replayed{{"--recording", log, "--speed", "max"}};
    const auto again = replayed.await_output(raised);
    CHECK(again.substr(again.find(raised)) == alarm.substr(alarm.find(raised)));
    CHECK(replayed.end().status == 0);
}

TEST_CASE("a logger that is killed is followed by one that goes on where the file ends") {
    const Folder folder;
    const auto log = folder.path() + "/log.csv";
    System system{{"--speed", "100", "--log", log}};
    system.directory();
    pid_t killed = 0;
    for (int kills = 0; kills < 3; ++kills) {
        killed = system.process("logger", killed);
        REQUIRE(::kill(killed, SIGKILL) == 0);
        system.await_error("the logger is started again");
    }
    system.process("logger", killed);
    system.await_output("learned 400 samples");
    system.signal(SIGTERM);
    CHECK(system.end().status == 0);
    check_gapless(lines_of(log));
}

TEST_CASE("a log that cannot be written is told of, and holds up nobody") {
    System system{{"--leak-at", "450", "--speed", "200", "--log", "/dev/full"}};
    CHECK(system.await_error("the log cannot be written; it is tried again").find("No space left") !=
          std::string::npos);
    CHECK(system.end().output.find("the leak at 450 s was found ") != std::string::npos);
    CHECK(system.end().status == 0);
}

TEST_CASE("a file that holds something already is no log") {
    const Folder folder;
    const auto log = folder.write("log.csv", "something\n");
    System system{{"--log", log}};
    CHECK(system.end().status != 0);
    CHECK(system.end().errors.find("log.csv\" is no empty file") != std::string::npos);
    CHECK(lines_of(log) == std::vector<std::string>{"something"});
}
