// SPDX-License-Identifier: MIT
#include "recording_text.hpp"
#include "support/catch.hpp"
#include "support/skip.hpp"
#include "system.hpp"

#include <csignal>
#include <deque>
#include <string>

using namespace leak::test;

namespace {

std::string stopped(System& system) {
    system.signal(SIGTERM);
    CHECK(system.end().status == 0);
    return system.end().errors;
}

}  // namespace

TEST_CASE("an operator pauses, resumes, sets the threshold and asks how things stand") {
    System system{{"--speed", "50"}};
    const auto directory = system.directory();
    command(directory, "pause");
    system.await_output("paused: samples wait");
    command(directory, "status");
    CHECK(system.await_output("status: ").starts_with("status: paused, recording 0, "));
    command(directory, "resume\nthreshold 2.5\nstatus");
    system.await_output("resumed");
    system.await_output("threshold: 2.50 times the learned percentile");
    CHECK(system.await_output("status: ").find("threshold factor 2.50") != std::string::npos);
    command(directory, "stop");
    CHECK(system.await_error("stop") ==
          "\"stop\" is no command, expected pause, resume, threshold X or status");
    command(directory, "threshold -1");
    CHECK(system.await_error("-1") == "threshold: \"-1\", expected a number above 0 and up to 1000000");
    command(directory, std::string(10'000, 'x'));
    system.await_error("a line of more than 128 bytes is no command");
    command(directory, "status");
    system.await_output("status: running");
    stopped(system);
}

TEST_CASE("a program asks how things stand and sets the threshold by the service") {
    System system{{"--speed", "50"}};
    const auto directory = system.directory();
    const auto paused = control(directory, "pause");
    CHECK(paused.errors == "");
    REQUIRE(paused.status == 0);
    CHECK(paused.output.find("\nsamples paused\n") != std::string::npos);
    CHECK(paused.output.find("\nfactor learned\n") != std::string::npos);
    system.await_output("paused: samples wait");
    CHECK(control(directory, "threshold 2.5").output.find("\nfactor 2.50\n") != std::string::npos);
    system.await_output("threshold: 2.50 times the learned percentile");
    command(directory, "status");
    CHECK(system.await_output("status: ").find("threshold factor 2.50") != std::string::npos);
    CHECK(control(directory, "resume").output.find("\nsamples running\n") != std::string::npos);
    CHECK(control(directory, "status").output.starts_with("recording 0\nsamples running\nphase learning\n"));

    const auto senseless = control(directory, "threshold -1");
    CHECK(senseless.status == 2);
    CHECK(senseless.errors ==
          "weir-leak-control: threshold: \"-1\", expected a number above 0 and up to 1000000\n");
    stopped(system);
}

TEST_CASE("what an operator asked for outlives acquisition") {
    System system{{"--speed", "50"}};
    const auto directory = system.directory();
    command(directory, "threshold 2.5\npause");
    system.await_output("paused: samples wait");
    const pid_t acquisition = system.process("acquisition");
    REQUIRE(::kill(acquisition, SIGKILL) == 0);
    system.await_error("acquisition is started again");
    system.process("sensor", acquisition);
    command(directory, "status");
    const auto status = system.await_output("status: ");
    CHECK(status.starts_with("status: paused, "));
    CHECK(status.find("threshold factor 2.50") != std::string::npos);
    stopped(system);
}

TEST_CASE("a paused run loses nothing") {
    System system{{"--leak-at", "450", "--speed", "500"}};
    const auto directory = system.directory();
    command(directory, "pause");
    system.await_output("paused: samples wait");
    command(directory, "resume");
    CHECK(system.end().output.find("the leak at 450 s was found ") != std::string::npos);
    CHECK(system.end().status == 0);
}

TEST_CASE("the threshold cannot be changed while figures are made") {
    const Folder folder;
    const auto recording = folder.write("a.csv", simulated_recording(1, 480, 560));
    const auto run = folder.path() + "/run";
    System system{{"--score", recording, recording, recording, recording}, {{"WEIR_RUNTIME_DIR", run}}};
    system.process("acquisition");
    command(run + "/leak_detection", "threshold 100");
    if (const auto refused = control(run + "/leak_detection", "threshold 100"); refused.status == 3) {
        CHECK(refused.errors ==
              "weir-leak-control: refused: scoring is done with the threshold as it is learned\n");
    } else {
        CHECK(refused.status == 1);  // the scoring was over
    }
    const auto& end = system.end();
    CHECK(end.status == 0);
    const auto first = end.output.find("F1");
    const auto figures = end.output.substr(first, end.output.find('\n', first) - first);
    std::size_t lines = 0;
    for (auto at = end.output.find(figures); at != std::string::npos; at = end.output.find(figures, at + 1))
        ++lines;
    INFO(end.output << end.errors);
    CHECK(lines == 5);
}

TEST_CASE("clients beyond the limit are told, and a place that becomes free is given away") {
    System system{{"--speed", "50"}};
    const auto directory = system.directory();
    std::deque<AlarmClient> clients;
    for (int i = 0; i < 8; ++i) {
        CHECK(clients.emplace_back(directory).line().starts_with("state: "));
    }
    {
        AlarmClient refused{directory};
        CHECK(refused.line() == "too many clients (limit 8): try again later");
        CHECK(refused.line() == "");
    }
    clients.pop_back();
    for (;;) {
        AlarmClient again{directory};
        if (again.line().starts_with("state: "))
            break;  // else the detector has not seen the other one go yet
    }
    CHECK(stopped(system) == "");
    CHECK(clients.front().line() == "");
}

TEST_CASE("a client hears of the learning's end, of an alarm, and of its end") {
    System system{{"--speed", "1000"}};
    AlarmClient client{system.directory()};
    CHECK(client.line().starts_with("state: learning, "));
    CHECK(client.line().starts_with("399 s learned 400 samples: threshold "));
    const auto alarm = client.line();
    CHECK(alarm.find(" s alarm raised: T-squared ") != std::string::npos);
    CHECK(system.await_output("alarm raised") == alarm);
    CHECK(stopped(system) == "");
    CHECK(client.line() == "");
}
