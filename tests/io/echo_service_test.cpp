// SPDX-License-Identifier: MIT
//
// A sample service, stopped at each of its await points and refused each of its frames.
#include "echo_service.hpp"

#include "running.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <cstdio>

#include <fcntl.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

constexpr std::size_t clients_count = 3;

struct Run {
    explicit Run(std::string_view path) noexcept : service(path) {
        for (std::uint32_t i = 0; i < clients_count; ++i) clients[i].number = i;
    }
    EchoService service;
    std::array<EchoClient, clients_count> clients;
    std::uint32_t refuse_in = 0;  // frames, from when the service is up
    std::uint64_t tasks_before = 0;
};

Task<> serves_until_quit(Scheduler& scheduler, EchoService& service) {
    const auto outcome = co_await first_of(service.quit.wait(), serve_echo(scheduler, service));
    service.up.set();  // whoever still waits for it
    if (outcome.index() == 1) WEIR_CO_CHECK(outcome.get<1>());
}
Task<> asks_then_quits(Scheduler& scheduler, Run& run, Task<> first, Task<> second, Task<> third) {
    WEIR_CO_CHECK(run.service.up.wait());
    run.tasks_before = scheduler.usage().tasks_started;
    if (run.refuse_in > 0) scheduler.frames.refuse_in(run.refuse_in);
    std::ignore = co_await all_of(std::move(first), std::move(second), std::move(third));
    run.service.quit.set();
}
// The clients' frames are taken first: what fails later is the service's.
Task<> whole(Scheduler& scheduler, Run& run) {
    auto first = ask_echo(scheduler, run.service, run.clients[0]);
    auto second = ask_echo(scheduler, run.service, run.clients[1]);
    auto third = ask_echo(scheduler, run.service, run.clients[2]);
    auto asking = asks_then_quits(scheduler, run, std::move(first), std::move(second), std::move(third));
    WEIR_CO_CHECK(all_of(serves_until_quit(scheduler, run.service), std::move(asking)));
}

int open_descriptors() {
    int count = 0;
    for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
}

void check_books(const Run& run) {
    const EchoService& service = run.service;
    CHECK(service.requests == service.answered + service.unanswered);
    CHECK(service.journal_kept == service.journal_sent);
    for (const EchoClient& client : run.clients) {
        INFO("client " << client.number);
        CHECK(client.wrong == 0);
        CHECK_FALSE(client.unheard);
        if (client.goodbye_count != ~0U) CHECK(client.goodbye_count == client.answered);
    }
}
void check_clean(const Run& run) {
    check_books(run);
    CHECK(run.service.sessions == clients_count);
    CHECK(run.service.unanswered == 0);
    CHECK(run.service.frames_refused == 0);
    CHECK(run.service.other_errors == 0);
    for (const EchoClient& client : run.clients) {
        CHECK(client.answered == EchoClient::requests);
        CHECK(client.goodbye_count == EchoClient::requests);
    }
}
void check_nothing_left(Running& running, const std::string& path, int descriptors_before) {
    const Usage usage = running->usage();
    CHECK(usage.frames == 0);
    CHECK(usage.timers == 0);
    CHECK(usage.operations == 0);
    CHECK(usage.descriptors == 0);
    CHECK(open_descriptors() == descriptors_before);
    CHECK_FALSE(exists(path));
    CHECK_FALSE(exists(path + ".lock"));
}

struct Way {
    const char* name;
    Probe::Moment moment;
    bool whole_program;
};
constexpr Way ways[] = {
    {"the service is told to quit before an await", Probe::Moment::before, false},
    {"the service is told to quit while an await waits", Probe::Moment::suspended, false},
    {"everything is stopped before an await", Probe::Moment::before, true},
    {"everything is stopped while an await waits", Probe::Moment::suspended, true},
};

TEST_CASE("a service may be stopped at every await point") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        const int descriptors_before = open_descriptors();
        std::uint32_t points = 0;
        std::size_t places = 0;
        {
            Run run(path);
            run.service.probe.arm(0, Probe::Moment::before, nullptr, nullptr);
            running.must_run(whole(*running, run));
            check_clean(run);
            check_nothing_left(running, path, descriptors_before);
            points = run.service.probe.count();
            places = run.service.probe.places();
        }
        CHECK(points >= 40);
        std::uint32_t stops = 0;
        for (const Way& way : ways) {
            INFO(way.name);
            for (std::uint32_t k = 1; k <= points; ++k) {
                INFO("await " << k << " of " << points);
                Run run(path);
                struct Stop {
                    Scheduler& scheduler;
                    EchoService& service;
                    bool whole_program;
                    bool happened = false;
                } stop{*running, run.service, way.whole_program};
                run.service.probe.arm(
                    k, way.moment,
                    [](void* context) noexcept {
                        Stop& self = *static_cast<Stop*>(context);
                        self.happened = true;
                        if (self.whole_program)
                            self.scheduler.request_stop();
                        else
                            self.service.quit.set();
                    },
                    &stop);
                const auto outcome = running.run(whole(*running, run));
                if (!outcome) CHECK(outcome.error() == Errc::cancelled);
                check_books(run);
                // With everything stopped the clients go too, and a goodbye may find nobody.
                if (!way.whole_program) CHECK(run.service.other_errors == 0);
                check_nothing_left(running, path, descriptors_before);
                stops += stop.happened ? 1U : 0U;
            }
        }
        // Each await has a first moment; those of them that wait have a second.
        CHECK(stops > 2 * points);
        if (!on_simulated() || seed == first_seed()) {
            std::printf("%s: %u await points at %zu places, %u stops\n", backend_name().c_str(), points,
                        places, stops);
        }
    });
}

TEST_CASE("a service whose frames are refused one by one loses no more than one client") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        const int descriptors_before = open_descriptors();
        const auto clean = std::make_unique<Run>(path);
        clean->service.probe.arm(0, Probe::Moment::before, nullptr, nullptr);
        running.must_run(whole(*running, *clean));
        check_clean(*clean);
        const Usage before = running->usage();
        std::uint32_t peak = 0;
        for (const FrameUsage& frames : before.classes) peak += frames.peak;
        std::uint32_t hit = 0;
        std::uint32_t k = 0;
        for (bool refused = true; refused;) {
            INFO("frame " << ++k << " refused");
            REQUIRE(k < 1'000);
            Run run(path);
            run.service.probe.arm(0, Probe::Moment::before, nullptr, nullptr);
            run.refuse_in = k;
            const auto outcome = running.run(whole(*running, run));
            running->frames.refuse_in(0);
            if (!outcome) CHECK(outcome.error() == Errc::no_frame);
            refused = run.service.frames_refused > 0 || !outcome;
            CHECK(run.service.frames_refused <= 1);
            check_books(run);
            check_nothing_left(running, path, descriptors_before);
            std::size_t untouched = 0;
            for (std::size_t i = 0; i < clients_count; ++i) {
                const EchoClient& now = run.clients[i];
                const EchoClient& then = clean->clients[i];
                if (now.answered < EchoClient::requests || now.goodbye_count != EchoClient::requests) {
                    CHECK(now.told);
                    continue;
                }
                ++untouched;
                CHECK(now.answers_size == then.answers_size);
                CHECK(now.answers == then.answers);
            }
            CHECK(untouched + (refused ? 1 : 0) >= clients_count);
            hit += untouched < clients_count ? 1U : 0U;
            const Usage after = running->usage();
            CHECK(after.frame_bytes == before.frame_bytes);
            CHECK(after.frames == before.frames);
            CHECK(after.descriptors == before.descriptors);
        }
        CHECK(k > peak);  // the last one was refused to nobody
        CHECK(hit >= clients_count);
        Run again(path);
        again.service.probe.arm(0, Probe::Moment::before, nullptr, nullptr);
        running.must_run(whole(*running, again));
        check_clean(again);
        if (!on_simulated() || seed == first_seed()) {
            std::printf("%s: frames refused one by one: k = 1 to %u (peak %u), %u of them cost one client\n",
                        backend_name().c_str(), k - 1, peak, hit);
        }
    });
}

}  // namespace
