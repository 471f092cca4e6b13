// SPDX-License-Identifier: MIT
#include "line_server.hpp"

#include "support/catch.hpp"
#include "system.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

using namespace leak;
using namespace leak::test;
using namespace std::chrono_literals;

namespace {

constexpr weir::Budget budget{.frame_bytes = 96 * 1024, .descriptors = 32};
constexpr std::uint64_t lines_count = 20'000;

AlarmLine numbered(std::uint64_t number) {
    AlarmLine line{"line "};
    return line.append(number).append('\n');
}

struct Read {
    std::vector<std::string> lines;
    bool ended = false;
};

weir::Task<> read_line(weir::Scheduler&, weir::UnixStream& peer, std::string& rest, Read& read) {
    for (;;) {
        if (const auto end = rest.find('\n'); end != std::string::npos) {
            read.lines.push_back(rest.substr(0, end));
            rest.erase(0, end + 1);
            co_return;
        }
        std::array<std::byte, 4'096> buffer;
        WEIR_CO_TRY(const auto bytes, peer.read(buffer));
        read.ended = bytes.empty();
        if (read.ended) co_return;
        rest.append(weir::text_of(bytes));
    }
}

/// One client reads each line before the next is published, the other reads none before all are.
weir::Task<> publish(weir::Scheduler& scheduler, LineServer& server, const std::string& path, Read& fast,
                     Read& slow, Read& newcomer) {
    WEIR_CO_TRY(auto reader, weir::UnixStream::connect(path));
    WEIR_CO_TRY(auto sleeper, weir::UnixStream::connect(path));
    std::string fast_rest;
    std::string slow_rest;
    WEIR_CO_CHECK(read_line(scheduler, reader, fast_rest, fast));
    WEIR_CO_CHECK(read_line(scheduler, sleeper, slow_rest, slow));
    for (std::uint64_t number = 0; number < lines_count; ++number) {
        server.publish(numbered(number));
        WEIR_CO_CHECK(read_line(scheduler, reader, fast_rest, fast));
    }
    while (slow.lines.back().find("lines are lost") == std::string::npos) {
        WEIR_CO_CHECK(read_line(scheduler, sleeper, slow_rest, slow));
    }
    while (slow.lines.back() != "line " + std::to_string(lines_count - 1)) {
        WEIR_CO_CHECK(read_line(scheduler, sleeper, slow_rest, slow));
    }
    server.publish(numbered(lines_count));
    WEIR_CO_CHECK(server.flush(scheduler));
    WEIR_CO_TRY(auto late, weir::UnixStream::connect(path));
    std::string late_rest;
    for (std::size_t i = 0; i <= LineServer::lines_recent; ++i) {
        WEIR_CO_CHECK(read_line(scheduler, late, late_rest, newcomer));
    }
}

weir::Task<> serve_and_publish(weir::Scheduler& scheduler, LineServer& server, const std::string& path,
                               Read& fast, Read& slow, Read& newcomer) {
    WEIR_CO_TRY(auto listener, weir::UnixListener::bind(path));
    const auto ended = co_await weir::first_of(server.serve(scheduler, &listener),
                                               publish(scheduler, server, path, fast, slow, newcomer));
    if (!ended) co_return co_await weir::fail(ended.error());
}

}  // namespace

TEST_CASE("a client that does not read holds up nobody, and is told how many lines it lost") {
    static weir::StaticScheduler<budget> scheduler;
    static LineServer server;
    const Folder folder;
    const auto path = folder.path() + "/alarms";
    server.set_state(AlarmLine{"state: testing\n"});
    Read fast;
    Read slow;
    Read newcomer;
    REQUIRE(scheduler.start({.backend = weir::BackendChoice::epoll}).has_value());
    const auto outcome = scheduler.run(serve_and_publish(scheduler, server, path, fast, slow, newcomer));
    REQUIRE(outcome.has_value());

    REQUIRE(fast.lines.size() == lines_count + 1);
    CHECK(fast.lines.front() == "state: testing");
    CHECK(fast.lines.back() == "line " + std::to_string(lines_count - 1));

    // What it got is the beginning and the last that are kept, and between them it learned how many it lost.
    const auto told = std::find_if(slow.lines.begin(), slow.lines.end(),
                                   [](const auto& line) { return line.starts_with("you were too slow"); });
    REQUIRE(told != slow.lines.end());
    const auto got = static_cast<std::size_t>(told - slow.lines.begin()) - 1;
    for (std::size_t number = 0; number < got; ++number) {
        REQUIRE(slow.lines[number + 1] == "line " + std::to_string(number));
    }
    const auto lost = lines_count - got - LineServer::lines_max;
    CHECK(*told == "you were too slow: " + std::to_string(lost) + " lines are lost");
    REQUIRE(slow.lines.size() == got + 2 + LineServer::lines_max);
    for (std::size_t i = 0; i < LineServer::lines_max; ++i) {
        CHECK(slow.lines[got + 2 + i] == "line " + std::to_string(got + lost + i));
    }
    REQUIRE(newcomer.lines.size() == 1 + LineServer::lines_recent);
    CHECK(newcomer.lines.front() == "state: testing");
    CHECK(newcomer.lines[1] == "line " + std::to_string(lines_count + 1 - LineServer::lines_recent));
    CHECK(newcomer.lines.back() == "line " + std::to_string(lines_count));
    CHECK(folder.names().empty());
}
