// SPDX-License-Identifier: MIT
#include "detector_model.hpp"
#include "loop_model.hpp"
#include "recordings.hpp"
#include "score.hpp"
#include "support/catch.hpp"
#include "support/skip.hpp"
#include "support/uring_probe.hpp"
#include "system.hpp"

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

using namespace leak;
using namespace leak::test;

namespace {

constexpr int samples_of_a_recording = 560;
constexpr std::int64_t leak_s = 480;

/// What a detector makes of simulated_recording(seed, leak_s, samples_of_a_recording), without any process.
Counts expected_counts(std::uint64_t seed) {
    LoopModel loop{{.seed = seed, .leak_at_s = leak_s}};
    DetectorModel model;
    Counts counts;
    for (int i = 0; i < samples_of_a_recording; ++i) {
        const Sample sample = loop.next();
        const Verdict verdict = model.observe(sample.values);
        if (verdict.phase == Phase::watching) counts.add(verdict.anomaly, sample.labels.anomaly);
    }
    return counts;
}

struct Recordings {
    Folder folder;
    std::vector<std::string> arguments{"--score"};
    std::string expected;

    explicit Recordings(std::uint64_t count) {
        Counts pooled;
        for (std::uint64_t seed = 1; seed <= count; ++seed) {
            const auto name = std::to_string(seed) + ".csv";
            const auto text = simulated_recording(seed, leak_s, samples_of_a_recording);
            arguments.push_back(folder.write(name, text));
            const auto counts = expected_counts(seed);
            const auto line = score_line_of_file(arguments.back(), samples_of_a_recording, counts);
            expected.append(line.view()).append("\n");
            pooled += counts;
        }
        expected.append(score_line(pooled).view()).append("\n");
    }
};

std::vector<std::string> arguments_of(const std::vector<std::string>& names) {
    std::vector<std::string> arguments{"--score"};
    for (const auto& name : names) arguments.push_back(recording_or_skip(name));
    return arguments;
}

double pooled_f1(const std::string& output) {
    const auto line = output.rfind("\nF1 ");
    REQUIRE(line != std::string::npos);
    return std::stod(output.substr(line + 4));
}

/// Scores, and kills a process of `role` in each recording where there is one when it is looked for.
void check_killed(const char* role, int number, std::uint64_t recordings_most) {
    const std::uint64_t recordings_count = emulated() ? 2 : recordings_most;
    const Recordings recordings{recordings_count};
    System system{recordings.arguments};
    pid_t killed = 0;
    int kills = 0;
    for (std::uint64_t recording = 1; recording <= recordings_count; ++recording) {
        const auto line = "/" + std::to_string(recording) + ".csv: ";
        for (pid_t found = 0; found == 0 && !system.has_said(line);) {
            found = system.process_now(role, killed);
            if (found == 0) continue;
            killed = found;
            if (::kill(found, number) == 0) ++kills;
        }
        system.await_output(line);
    }
    const auto& end = system.end();
    CAPTURE(role, number, kills, end.errors);
    CHECK(kills > 0);
    CHECK(end.output == recordings.expected);
    CHECK(end.status == 0);
}

}  // namespace

TEST_CASE("the system's figures are those of the model alone") {
    const Recordings recordings{emulated() ? 1u : 3u};
    System system{recordings.arguments};
    const auto& end = system.end();
    CHECK(end.output == recordings.expected);
    CHECK(end.errors == "");
    CHECK(end.status == 0);
}

TEST_CASE("the figures are the same on both backends") {
    const Recordings recordings{2};
    for (const std::string backend : {"epoll", "io_uring"}) {
        if (backend == "io_uring" && !weir::test::why_no_io_uring().empty()) continue;
        CAPTURE(backend);
        System by_environment{recordings.arguments, {{"WEIR_BACKEND", backend}}};
        CHECK(by_environment.end().output == recordings.expected);
        auto arguments = recordings.arguments;
        arguments.insert(arguments.end(), {"--backend", backend});
        System by_option{arguments};
        CHECK(by_option.end().output == recordings.expected);
    }
    System simulated{recordings.arguments, {{"WEIR_BACKEND", "simulated"}}};
    CHECK(simulated.end().status != 0);
    CHECK(simulated.end().errors.find("child processes on the simulated backend") != std::string::npos);
}

TEST_CASE("the leaks of the real recordings are found") {
    System system{arguments_of({"other/1.csv", "other/3.csv"})};
    CHECK(system.end().status == 0);
    CHECK(pooled_f1(system.end().output) >= 0.88);
}

TEST_CASE("the five labelled recordings are scored as the model alone does") {
    System system{
        arguments_of({"other/1.csv", "other/3.csv", "other/12.csv", "valve1/0.csv", "valve2/0.csv"})};
    CHECK(system.end().status == 0);
    CHECK(pooled_f1(system.end().output) >= 0.76);
}

TEST_CASE("a detector that is killed again and again spoils no figure") {
    check_killed("detector", SIGKILL, 8);
}

TEST_CASE("acquisition that is killed again and again spoils no figure") {
    check_killed("acquisition", SIGKILL, 6);
}

TEST_CASE("sensors that are killed spoil no figure") {
    check_killed("sensor", SIGKILL, 8);
}

TEST_CASE("a gentle signal to a single process spoils no figure either") {
    check_killed("detector", SIGTERM, 4);
    check_killed("acquisition", SIGTERM, 4);
}

TEST_CASE("a detector whose saved state is spoiled begins anew, and spoils no figure") {
    const Recordings recordings{4};
    const auto run = recordings.folder.path() + "/run";
    System system{recordings.arguments, {{"WEIR_RUNTIME_DIR", run}}};
    system.await_output("/1.csv: ");
    const pid_t detector = system.process("detector");
    // Held, it cannot mend what is spoiled here before it is killed.
    REQUIRE(::kill(detector, SIGSTOP) == 0);
    recordings.folder.write("run/leak_detection/detector.state", std::string(60'000, 'x'));
    REQUIRE(::kill(detector, SIGKILL) == 0);
    system.await_error("the saved state is damaged");
    const auto& end = system.end();
    CAPTURE(end.errors);
    CHECK(end.output == recordings.expected);
    CHECK(end.status == 0);
}

TEST_CASE("a detector that dies too often ends all, visibly") {
    const Recordings recordings{1};
    System system{{"--recording", recordings.arguments.back(), "--speed", "1"}};
    pid_t killed = 0;
    for (int deaths = 0; deaths < 11; ++deaths) {
        killed = system.process("detector", killed);
        REQUIRE((::kill(killed, SIGKILL) == 0 || errno == ESRCH));
    }
    const auto& end = system.end();
    CHECK(end.status != 0);
    CHECK(end.errors.find("the detector died 11 times within 10 s: giving up") != std::string::npos);
}

TEST_CASE("a killed supervisor leaves no figures, and nothing that runs") {
    const Recordings recordings{8};
    System system{recordings.arguments};
    system.await_output("/1.csv: ");
    system.process("sensor");
    const auto processes = system.processes();
    system.signal(SIGKILL);
    await_ends(processes);
    CHECK(system.end().signal == SIGKILL);
    CHECK(system.end().output.find("\nF1 ") == std::string::npos);
}

TEST_CASE("a stopped scoring gives no figures") {
    const Recordings recordings{8};
    System system{recordings.arguments};
    system.await_output("/1.csv: ");
    system.signal(SIGTERM);
    const auto& end = system.end();
    CHECK(end.status != 0);
    CHECK(end.errors.find("recordings were not scored") != std::string::npos);
    CHECK(end.output.find("\nF1 ") == std::string::npos);
}
