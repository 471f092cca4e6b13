// SPDX-License-Identifier: MIT
#include <weir/weir.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/forbid_io_uring.hpp"
#include "support/skip.hpp"
#include "support/uring_probe.hpp"

#include "program.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

using weir::BackendChoice;
using weir::Scheduler;
using weir::Task;
using weir::test::run_in_child;
using weir::test::said;

namespace {

constexpr weir::Budget small{.frame_bytes = 4'096, .submissions = 8, .descriptors = 8};

Task<> yields(Scheduler&) {
    WEIR_CO_CHECK(weir::yield());
}

/// Starts a scheduler in a child and says on its stderr which backend that gave, and why.
std::string started_as(BackendChoice choice, const char* environment, bool forbid_io_uring = false,
                       bool use_environment = true) {
    const auto end = run_in_child([&] {
        if (environment != nullptr)
            ::setenv("WEIR_BACKEND", environment, 1);
        else
            ::unsetenv("WEIR_BACKEND");
        if (forbid_io_uring && !weir::test::forbid_io_uring(EPERM)) return 99;
        weir::StaticScheduler<small> scheduler;
        weir::StartOptions options;
        options.backend = choice;
        options.environment = use_environment;
        const auto started = scheduler.start(options);
        char line[256] = "";
        if (!started) started.error().message(line);
        const bool ran = started && scheduler.run(yields(scheduler));
        std::fprintf(stderr, "%s|%s|%s", std::string(scheduler.backend_name()).c_str(),
                     std::string(scheduler.backend_reason()).c_str(), line);
        return ran ? 0 : 1;
    });
    CHECK(end.signal == 0);
    return end.errors;
}

}  // namespace

TEST_CASE("the names of backends are these and no others") {
    for (const auto choice : {BackendChoice::automatic, BackendChoice::io_uring, BackendChoice::epoll,
                              BackendChoice::simulated}) {
        CHECK(weir::backend_choice(weir::text(choice)) == choice);
    }
    for (const char* bad : {"", "uring", "Epoll", "epoll ", "poll"}) CHECK(!weir::backend_choice(bad));
}

TEST_CASE("a backend asked for by name is that one, and says so") {
    CHECK(started_as(BackendChoice::epoll, nullptr) == "epoll|epoll, as asked for|");
    CHECK(started_as(BackendChoice::simulated, nullptr) == "simulated|simulated, as asked for|");
    CHECK(started_as(BackendChoice::simulated, "epoll") == "simulated|simulated, as asked for|");
    if (weir::test::why_no_io_uring().empty()) {
        CHECK(started_as(BackendChoice::io_uring, "epoll") == "io_uring|io_uring, as asked for|");
    }
}

TEST_CASE("the environment decides where nothing was asked for, unless it is to be ignored") {
    CHECK(started_as(BackendChoice::automatic, "epoll").starts_with("epoll|"));
    CHECK(started_as(BackendChoice::automatic, "simulated").starts_with("simulated|"));
    CHECK(!started_as(BackendChoice::automatic, "simulated", false, false).starts_with("simulated|"));
    CHECK(!started_as(BackendChoice::automatic, "automatic").starts_with("simulated|"));
}

TEST_CASE("a wrong name in the environment is a clear error") {
    const std::string said_wrong = started_as(BackendChoice::automatic, "uring");
    INFO(said_wrong);
    CHECK(said_wrong.starts_with("none|WEIR_BACKEND names no backend: uring|"));
    CHECK(said_wrong.find("automatic, io_uring, epoll or simulated") != std::string::npos);
    const std::string said_long = started_as(BackendChoice::automatic, std::string(5'000, 'x').c_str());
    CHECK(said_long.size() < 600);
}

TEST_CASE("where io_uring is forbidden epoll takes over and says why, and asked for by name it is an error") {
    if (!weir::test::why_no_io_uring().empty()) weir::test::skip(weir::test::why_no_io_uring());
    const std::string took_over = started_as(BackendChoice::automatic, nullptr, true);
    INFO(took_over);
    CHECK(took_over.starts_with("epoll|epoll, since io_uring cannot be had: io_uring_setup"));
    const std::string refused = started_as(BackendChoice::io_uring, nullptr, true);
    INFO(refused);
    CHECK(refused.starts_with("none|io_uring was asked for and cannot be had: "));
    CHECK(refused.find("|io_uring_setup") != std::string::npos);
    CHECK(refused.find("permission denied") != std::string::npos);
}
