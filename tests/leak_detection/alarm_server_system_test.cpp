// SPDX-License-Identifier: MIT
#include "support/catch.hpp"
#include "system.hpp"

#include <csignal>
#include <string>
#include <vector>

using namespace leak::test;

namespace {

/// What the supervisor said of so many announcements, as clients should hear it.
std::vector<std::string> announced(System& system, std::size_t count) {
    std::vector<std::string> lines;
    while (lines.size() < count) lines.push_back(system.await_output(" threshold "));
    return lines;
}

std::vector<std::string> heard(AlarmClient& client, std::size_t count) {
    std::vector<std::string> lines;
    while (lines.size() < count) lines.push_back(client.line());
    return lines;
}

}  // namespace

TEST_CASE("an alarm server that is killed loses no announcement, and tells none twice") {
    const Folder folder;
    System system{{"--speed", "400", "--recording", folder.write("a.csv", unsteady_recording(4, 20'000))}};
    const auto directory = system.directory();
    // Two are told, others wait in the queue of one that stands still, and the successor tells them all.
    auto all = announced(system, 2);
    const pid_t server = system.process("alarm-server");
    REQUIRE(::kill(server, SIGSTOP) == 0);
    for (const auto& line : announced(system, 4)) all.push_back(line);
    REQUIRE(::kill(server, SIGKILL) == 0);
    system.await_error("the alarm server is started again");
    const auto& rest = announced(system, 3);
    all.insert(all.end(), rest.begin(), rest.end());
    AlarmClient client{directory};
    CHECK(client.line().starts_with("state: "));
    CHECK(heard(client, all.size()) == all);
    system.signal(SIGTERM);
    CHECK(client.line() == "");
    CHECK(system.end().status == 0);
}

TEST_CASE("clients by TCP hear the same, and find a successor at the same port") {
    System system{{"--speed", "1000"}};
    const auto port = system.alarm_port();
    const auto directory = system.directory();
    AlarmClient by_tcp{port};
    AlarmClient by_path{directory};
    CHECK(by_tcp.line().starts_with("state: learning"));
    CHECK(by_path.line().starts_with("state: learning"));
    for (int i = 0; i < 2; ++i) {
        const auto line = by_tcp.line();
        CHECK(line.find(" threshold ") != std::string::npos);
        CHECK(by_path.line() == line);
    }
    REQUIRE(::kill(system.process("alarm-server"), SIGKILL) == 0);
    CHECK(by_tcp.line() == "");
    AlarmClient again{port};
    CHECK(again.line().starts_with("state: alarm"));
    CHECK(again.line().find("learned 400 samples") != std::string::npos);
    CHECK(again.line().find("alarm raised") != std::string::npos);
    system.signal(SIGTERM);
    CHECK(again.line() == "");
    CHECK(system.end().status == 0);
}

TEST_CASE("the alarm server goes on when all others are killed") {
    System system{{"--speed", "200"}};
    AlarmClient client{system.directory()};
    const pid_t server = system.process("alarm-server");
    for (const std::string role : {"detector", "acquisition", "sensor"}) {
        REQUIRE(::kill(system.process(role), SIGKILL) == 0);
        system.await_error("started again");
    }
    CHECK(client.line().starts_with("state: learning"));
    CHECK(client.line().find("learned 400 samples") != std::string::npos);
    CHECK(system.process("alarm-server") == server);
    system.signal(SIGTERM);
    CHECK(system.end().status == 0);
}

TEST_CASE("while nobody takes announcements they wait, and those without room are counted") {
    constexpr std::size_t depth = 8;
    const Folder folder;
    System system{{"--speed", "1000", "--recording", folder.write("a.csv", unsteady_recording(5, 60'000))}};
    const auto directory = system.directory();
    const pid_t server = system.process("alarm-server");
    AlarmClient client{directory};
    CHECK(client.line().starts_with("state: learning"));
    REQUIRE(::kill(server, SIGSTOP) == 0);
    const auto all = announced(system, depth + 2);
    CHECK(system.await_error("full").starts_with("the queue of announcements is full: 1 found no room"));
    system.await_error("full: 2 found no room");
    for (std::string status; status.find(", 2 announcements not queued") == std::string::npos;) {
        command(directory, "status");
        status = system.await_output("status: ");
    }
    REQUIRE(::kill(server, SIGCONT) == 0);
    CHECK(heard(client, depth) == std::vector(all.begin(), all.begin() + depth));
    for (std::string state; state.find("; the queue had no room for 2 announcements") == std::string::npos;) {
        state = AlarmClient{directory}.line();
    }
    system.signal(SIGTERM);
    CHECK(system.end().status == 0);
}
