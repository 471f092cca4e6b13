// SPDX-License-Identifier: MIT
#include <weir/io/remote.hpp>

#include "running.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

Task<> waits_for_posts(Scheduler&, Remote& remote, std::uint64_t count, std::uint64_t& seen) {
    while (seen < count) {
        WEIR_CO_TRY(const auto posts, remote.wait());
        CHECK_IN_TASK(posts >= 1);
        seen += posts;
    }
}
TEST_CASE("every post of another thread is counted") {
    constexpr std::uint64_t count = 5'000;
    Running running;
    auto remote = Remote::create();
    REQUIRE(remote.has_value());
    std::uint64_t seen = 0;
    std::thread poster([&remote] {
        for (std::uint64_t i = 0; i < count; ++i) remote->post();
    });
    const auto outcome = running.run(waits_for_posts(*running, *remote, count, seen));
    poster.join();
    CHECK(outcome.has_value());
    CHECK(seen == count);
}

// One post at a time, each only when the last was seen: a lost one would hang the test.
Task<> answers_posts(Scheduler&, Remote& remote, const int& value, std::atomic<int>& answered, int count) {
    for (int i = 1; i <= count; ++i) {
        WEIR_CO_TRY(const auto posts, remote.wait());
        CHECK_IN_TASK(posts == 1);
        CHECK_IN_TASK(value == i);                     // written before the post
        answered.store(i, std::memory_order_release);  // pairs with the poster's load
    }
}
TEST_CASE("a post wakes a scheduler that sleeps, and what was written before it is seen") {
    constexpr int count = 500;
    Running running;
    auto remote = Remote::create();
    REQUIRE(remote.has_value());
    int value = 0;
    std::atomic<int> answered{0};
    std::thread poster([&] {
        for (int i = 1; i <= count; ++i) {
            value = i;
            remote->post();
            while (answered.load(std::memory_order_acquire) < i) std::this_thread::yield();
        }
    });
    const auto outcome = running.run(answers_posts(*running, *remote, value, answered, count));
    poster.join();
    CHECK(outcome.has_value());
}

Remote* handled = nullptr;  // a signal handler reaches nothing else

Task<> raises_and_waits(Scheduler&, Remote& remote) {
    for (int i = 0; i < 20; ++i) {
        CHECK_IN_TASK(::raise(SIGUSR1) == 0);
        WEIR_CO_TRY(const auto posts, remote.wait());
        CHECK_IN_TASK(posts == 1);
    }
}
TEST_CASE("a signal handler posts, and its errno is as it was") {
    Running running;
    auto remote = Remote::create();
    REQUIRE(remote.has_value());
    handled = &*remote;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {
        errno = ENOTTY;
        handled->post();
        if (errno != ENOTTY) std::abort();
    };
    REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
    running.must_run(raises_and_waits(*running, *remote));
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("a signal that interrupts a sleeping scheduler wakes it through its handler") {
    Running running;
    auto remote = Remote::create();
    REQUIRE(remote.has_value());
    handled = &*remote;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) { handled->post(); };
    REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
    std::uint64_t seen = 0;
    const pthread_t waiter = ::pthread_self();
    std::thread killer([waiter] {
        for (int i = 0; i < 200; ++i) ::pthread_kill(waiter, SIGUSR1);
    });
    running.must_run([](Scheduler&, Remote& posted, std::uint64_t& count) -> Task<> {
        WEIR_CO_TRY(count, posted.wait());
    }(*running, *remote, seen));
    killer.join();
    CHECK(seen >= 1);
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("waiting for posts times out, and a later one is seen") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        auto remote = Remote::create();
        REQUIRE(remote.has_value());
        running.must_run([](Scheduler&, Remote& posted) -> Task<> {
            const auto nothing = co_await posted.wait().within(200us);
            CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
            posted.post();
            posted.post();
            WEIR_CO_TRY(const auto posts, posted.wait());
            CHECK_IN_TASK(posts == 2);
        }(*running, *remote));
    });
}

}  // namespace
