// SPDX-License-Identifier: MIT
#include "alarm_server.hpp"

#include "support/catch.hpp"
#include "system.hpp"

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
weir::Task<> publish(weir::Scheduler& scheduler, AlarmServer& server, const std::string& path, Read& fast,
                     Read& slow) {
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
    server.publish(numbered(lines_count));
    WEIR_CO_CHECK(read_line(scheduler, sleeper, slow_rest, slow));
}

weir::Task<> serve_and_publish(weir::Scheduler& scheduler, AlarmServer& server, const std::string& path,
                               Read& fast, Read& slow) {
    const auto ended =
        co_await weir::first_of(server.serve(scheduler, path), publish(scheduler, server, path, fast, slow));
    if (!ended) co_return co_await weir::fail(ended.error());
}

}  // namespace

TEST_CASE("a client that does not read holds up nobody, and is told how many lines it lost") {
    static weir::StaticScheduler<budget> scheduler;
    static AlarmServer server;
    const Folder folder;
    const auto path = folder.path() + "/alarms";
    server.set_state(AlarmLine{"state: testing\n"});
    Read fast;
    Read slow;
    REQUIRE(scheduler.start({.backend = weir::BackendChoice::epoll}).has_value());
    const auto outcome = scheduler.run(serve_and_publish(scheduler, server, path, fast, slow));
    REQUIRE(outcome.has_value());

    REQUIRE(fast.lines.size() == lines_count + 1);
    CHECK(fast.lines.front() == "state: testing");
    CHECK(fast.lines.back() == "line " + std::to_string(lines_count - 1));

    // What it got is the beginning, without a gap; what it lost is the rest.
    REQUIRE(slow.lines.size() > 3);
    const std::size_t got = slow.lines.size() - 3;
    for (std::size_t number = 0; number < got; ++number) {
        REQUIRE(slow.lines[number + 1] == "line " + std::to_string(number));
    }
    CHECK(slow.lines[got + 1] ==
          "you were too slow: " + std::to_string(lines_count - got) + " lines are lost");
    CHECK(slow.lines.back() == "line " + std::to_string(lines_count));
    CHECK(folder.names().empty());
}
