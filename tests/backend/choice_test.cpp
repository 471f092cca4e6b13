// SPDX-License-Identifier: MIT
#include <weir/backend/choice.hpp>

#include <weir/weir.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/forbid_io_uring.hpp"
#include "support/skip.hpp"
#include "support/uring_probe.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace {

using namespace weir;

constexpr Budget budget{.frame_bytes = 8 * 1024, .submissions = 8, .descriptors = 8, .timer_slots = 16};
constexpr int no_filter_status = 77;

// Runs in forked children: a status of 0 means that all of it held.
#define HOLDS(...)                                                         \
    do {                                                                   \
        if (!(__VA_ARGS__)) {                                              \
            std::fprintf(stderr, "line %d: %s\n", __LINE__, #__VA_ARGS__); \
            return 1;                                                      \
        }                                                                  \
    } while (false)

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

Task<> sleep_a_little(Scheduler&) {
    WEIR_CO_CHECK(sleep_for(std::chrono::microseconds(10)));
}

TEST_CASE("a backend's name is read and written the same") {
    for (const BackendChoice choice : {BackendChoice::automatic, BackendChoice::io_uring,
                                       BackendChoice::epoll, BackendChoice::simulated}) {
        CHECK(backend_choice(text(choice)) == choice);
    }
    CHECK_FALSE(backend_choice("").has_value());
    CHECK_FALSE(backend_choice("uring").has_value());
    CHECK_FALSE(backend_choice("epoll ").has_value());
}

TEST_CASE("where io_uring is forbidden, automatic falls back to epoll and says why") {
    for (const int error : {EPERM, ENOSYS}) {
        INFO("errno " << error);
        const auto end = weir::test::run_in_child([error] {
            ::unsetenv("WEIR_BACKEND");
            if (!weir::test::forbid_io_uring(error)) return no_filter_status;
            const auto scheduler = std::make_unique<StaticScheduler<budget>>();
            HOLDS(scheduler->start().has_value());
            HOLDS(scheduler->backend_name() == "epoll");
            std::fprintf(stderr, "%s\n", scheduler->backend_reason().data());
            HOLDS(contains(scheduler->backend_reason(), "epoll, since io_uring cannot be had"));
            HOLDS(contains(scheduler->backend_reason(), "forbidden"));
            HOLDS(scheduler->run(sleep_a_little(*scheduler)).has_value());
            return 0;
        });
        if (end.exit_status == no_filter_status) weir::test::skip("no seccomp filters here");
        INFO(end.errors);
        CHECK(end.exit_status == 0);
    }
}

TEST_CASE(
    "where io_uring lacks deferred completions, automatic falls back to epoll and says since when they are") {
    // A kernel before 6.1 does not know the flags; EINVAL is its answer to them.
    const auto end = weir::test::run_in_child([] {
        ::unsetenv("WEIR_BACKEND");
        if (!weir::test::forbid_io_uring(EINVAL)) return no_filter_status;
        const auto scheduler = std::make_unique<StaticScheduler<budget>>();
        HOLDS(scheduler->start().has_value());
        HOLDS(scheduler->backend_name() == "epoll");
        HOLDS(contains(scheduler->backend_reason(), "epoll, since io_uring cannot be had"));
        HOLDS(contains(scheduler->backend_reason(), "since 6.1") ||
              contains(scheduler->backend_reason(), "left out when weir was built"));
        HOLDS(scheduler->run(sleep_a_little(*scheduler)).has_value());
        return 0;
    });
    if (end.exit_status == no_filter_status) weir::test::skip("no seccomp filters here");
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("where io_uring is forbidden, asking for it by name is an error that says so") {
    for (const int error : {EPERM, ENOSYS}) {
        for (const bool by_environment : {false, true}) {
            INFO("errno " << error << (by_environment ? ", by the environment" : ", by the option"));
            const auto end = weir::test::run_in_child([error, by_environment] {
                ::unsetenv("WEIR_BACKEND");
                if (by_environment) ::setenv("WEIR_BACKEND", "io_uring", 1);
                if (!weir::test::forbid_io_uring(error)) return no_filter_status;
                const auto scheduler = std::make_unique<StaticScheduler<budget>>();
                StartOptions options;
                if (!by_environment) options.backend = BackendChoice::io_uring;
                const auto started = scheduler->start(options);
                HOLDS(!started);
                char text[200];
                const std::string_view message = started.error().message(text);
                std::fprintf(stderr, "%s\n%s\n", message.data(), scheduler->backend_reason().data());
                HOLDS(started.error() == (error == EPERM ? Errc::denied : Errc::unsupported));
                HOLDS(contains(message, "io_uring"));
                HOLDS(contains(scheduler->backend_reason(), "asked for and cannot be had"));
                HOLDS(!scheduler->started());
                HOLDS(scheduler->backend_name() == "none");
                // It is not spoilt by that.
                HOLDS(scheduler->start({.backend = BackendChoice::epoll}).has_value());
                HOLDS(scheduler->run(sleep_a_little(*scheduler)).has_value());
                return 0;
            });
            if (end.exit_status == no_filter_status) weir::test::skip("no seccomp filters here");
            INFO(end.errors);
            CHECK(end.exit_status == 0);
        }
    }
}

TEST_CASE("where io_uring is to be had, automatic takes it") {
    if (const std::string reason = weir::test::why_no_io_uring(); !reason.empty()) weir::test::skip(reason);
    const auto scheduler = std::make_unique<StaticScheduler<budget>>();
    const auto started = scheduler->start({.environment = false});
    REQUIRE(started.has_value());
    if (contains(scheduler->backend_reason(), "left out when weir was built")) {
        weir::test::skip("built without liburing");
    }
    CHECK(scheduler->backend_name() == "io_uring");
    CHECK(contains(scheduler->backend_reason(), "io_uring, which this kernel offers"));
}

TEST_CASE("WEIR_BACKEND decides where nothing else was asked for, and only there") {
    const auto end = weir::test::run_in_child([] {
        ::setenv("WEIR_BACKEND", "simulated", 1);
        const auto first = std::make_unique<StaticScheduler<budget>>();
        HOLDS(first->start().has_value());
        HOLDS(first->backend_name() == "simulated");
        HOLDS(contains(first->backend_reason(), "as asked for"));
        const auto second = std::make_unique<StaticScheduler<budget>>();
        HOLDS(second->start({.backend = BackendChoice::epoll}).has_value());
        HOLDS(second->backend_name() == "epoll");
        const auto third = std::make_unique<StaticScheduler<budget>>();
        HOLDS(third->start({.environment = false}).has_value());
        HOLDS(third->backend_name() != "simulated");
        return 0;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("a WEIR_BACKEND that names no backend is an error that quotes it") {
    const auto end = weir::test::run_in_child([] {
        ::setenv("WEIR_BACKEND", "kqueue", 1);
        const auto scheduler = std::make_unique<StaticScheduler<budget>>();
        const auto started = scheduler->start();
        HOLDS(!started);
        HOLDS(started.error() == Errc::invalid);
        HOLDS(contains(scheduler->backend_reason(), "kqueue"));
        // run() starts it and fails the same way, with the root task dropped.
        const auto ran = scheduler->run(sleep_a_little(*scheduler));
        HOLDS(!ran);
        HOLDS(ran.error() == Errc::invalid);
        HOLDS(scheduler->usage().frames == 0);
        return 0;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

}  // namespace
