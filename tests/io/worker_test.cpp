// SPDX-License-Identifier: MIT
#include <weir/io/worker.hpp>

#include "running.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

/// Lets functions in threads wait for the test.
struct Gate {
    std::atomic<bool> begun{false};
    std::atomic<bool> open{false};
    void pass() {
        begun = true;
        while (!open) std::this_thread::yield();
    }
};

template <class W>
void must_start(W& worker) {
    const auto started = worker.start();
    INFO(Running::text_of_error(started));
    REQUIRE(started.has_value());
}

Task<> calls_elsewhere(Scheduler&, Worker& worker) {
    const pthread_t ours = ::pthread_self();
    WEIR_CO_TRY(const bool elsewhere,
                worker.call([ours] { return ::pthread_equal(ours, ::pthread_self()) == 0; }));
    CHECK_IN_TASK(elsewhere);
    std::array<int, 4> numbers{1, 2, 3, 4};  // of this frame
    int sum = 0;
    const std::span<int> view(numbers);
    WEIR_CO_CHECK(worker.call([view, &sum] {
        for (const int number : view) sum += number;
    }));
    CHECK_IN_TASK(sum == 10);
    const auto refused = co_await worker.call([]() -> Result<int> { return failure(Errc::denied, "f"); });
    CHECK_IN_TASK(code_of(refused) == Errc::denied);
    WEIR_CO_TRY(const Fd file, worker.call([] { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }));
    CHECK_IN_TASK(static_cast<bool>(file));
    WEIR_CO_TRY(const int copied, worker.call_detachable([sum] { return sum * 2; }));
    CHECK_IN_TASK(copied == 20);
    CHECK_IN_TASK(worker.calls() == 0);
}
TEST_CASE("a call runs in another thread and gives what it returned") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        StaticWorker<1, 2> worker;
        must_start(worker);
        running.must_run(calls_elsewhere(*running, worker));
    });
}

TEST_CASE("all signals are blocked in a worker's threads, and the starter's mask is as it was") {
    Running running;
    sigset_t before;
    REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &before) == 0);
    StaticWorker<1, 1> worker;
    must_start(worker);
    sigset_t now;
    REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &now) == 0);
    CHECK(::sigismember(&now, SIGTERM) == ::sigismember(&before, SIGTERM));
    running.must_run([](Scheduler&, Worker& threads) -> Task<> {
        WEIR_CO_TRY(const bool blocked, threads.call([] {
            sigset_t mask;
            ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
            return ::sigismember(&mask, SIGTERM) == 1 && ::sigismember(&mask, SIGUSR1) == 1;
        }));
        CHECK_IN_TASK(blocked);
    }(*running, worker));
}

constexpr int calls_each = 200;

Task<> calls_often(Scheduler&, Worker& worker, std::atomic<int>& count) {
    for (int i = 0; i < calls_each; ++i) {
        std::atomic<int>* const counter = &count;
        WEIR_CO_CHECK(worker.call([counter] { ++*counter; }));
        WEIR_CO_TRY(const int same, worker.call_detachable([i] { return i; }));
        CHECK_IN_TASK(same == i);
    }
}
TEST_CASE("calls of several tasks share the threads, and every one of them is made once") {
    Running running;
    StaticWorker<2, 4> worker;
    must_start(worker);
    std::atomic<int> count{0};
    running.must_run([](Scheduler& scheduler, Worker& threads, std::atomic<int>& counter) -> Task<> {
        WEIR_CO_CHECK(
            all_of(calls_often(scheduler, threads, counter), calls_often(scheduler, threads, counter),
                   calls_often(scheduler, threads, counter), calls_often(scheduler, threads, counter)));
    }(*running, worker, count));
    CHECK(count == 4 * calls_each);
}

Task<> passes(Scheduler&, Worker& worker, Gate& gate) {
    Gate* const to_pass = &gate;
    WEIR_CO_CHECK(worker.call([to_pass] { to_pass->pass(); }));
}
Task<> is_refused(Scheduler&, Worker& worker, Gate& gate) {
    const auto refused = co_await worker.call([] {});
    gate.open = true;
    CHECK_IN_TASK(code_of(refused) == Errc::overflow);
    CHECK_IN_TASK(refused.error().b == 2);
}
TEST_CASE("a call without a slot is an error that names the limit, and the others go on") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        StaticWorker<1, 2> worker;
        must_start(worker);
        Gate gate;
        running.must_run([](Scheduler& scheduler, Worker& threads, Gate& shared) -> Task<> {
            WEIR_CO_CHECK(all_of(passes(scheduler, threads, shared), passes(scheduler, threads, shared),
                                 is_refused(scheduler, threads, shared)));
        }(*running, worker, gate));
        CHECK(worker.calls() == 0);
    });
}

// --- stops and deadlines

Task<> ends_once_begun(Scheduler&, Gate& gate) {
    while (!gate.begun) WEIR_CO_CHECK(sleep_for(10us));
}
Task<> begun_is_waited_for(Scheduler& scheduler, Worker& worker, Gate& gate, std::atomic<bool>& stopped) {
    Gate* const to_pass = &gate;
    int kept = 0;  // in this frame, written by the thread
    int* const result = &kept;
    // The task ends first and so stops the call; what opens the gate waits for that.
    auto outcome = co_await first_of(worker.call([to_pass, result] {
        to_pass->pass();
        *result = 7;
        return 9;
    }),
                                     ends_once_begun(scheduler, gate));
    static_cast<void>(outcome);
    CHECK_IN_TASK(kept == 7);
    CHECK_IN_TASK(stopped);
}
TEST_CASE("a call that has begun is waited for though its task is stopped") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        StaticWorker<1, 1> worker;
        must_start(worker);
        Gate gate;
        std::atomic<bool> opened{false};
        std::thread opener([&] {
            while (!gate.begun) std::this_thread::yield();
            opened = true;
            gate.open = true;
        });
        running.must_run(begun_is_waited_for(*running, worker, gate, opened));
        opener.join();
    });
}

Task<> withdraws(Scheduler&, Worker& worker, Gate& gate, std::atomic<int>& ran) {
    std::atomic<int>* const counter = &ran;
    const auto late = co_await worker.call([counter] { ++*counter; }).within(1ms);
    CHECK_IN_TASK(code_of(late) == Errc::timed_out);
    const auto copied = co_await worker.call_detachable([counter] { ++*counter; }).within(1ms);
    CHECK_IN_TASK(code_of(copied) == Errc::timed_out);
    CHECK_IN_TASK(worker.calls() == 1);
    gate.open = true;
}
TEST_CASE("a call that no thread has begun is withdrawn at its deadline, and never made") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        std::atomic<int> ran{0};
        {
            Gate gate;
            StaticWorker<1, 2> worker;
            must_start(worker);
            running.must_run(
                [](Scheduler& scheduler, Worker& threads, Gate& shared, std::atomic<int>& counter) -> Task<> {
                    WEIR_CO_CHECK(all_of(passes(scheduler, threads, shared),
                                         withdraws(scheduler, threads, shared, counter)));
                }(*running, worker, gate, ran));
        }
        CHECK(ran == 0);
    });
}

/// Counts its ends, as a file would be closed.
struct Token {
    static inline std::atomic<int> alive{0};
    Token() noexcept { ++alive; }
    Token(Token&&) noexcept { ++alive; }
    ~Token() { --alive; }
};
Task<> leaves_it_behind(Scheduler&, Worker& worker, Gate& gate) {
    Gate* const to_pass = &gate;
    while (!gate.begun) {
        // Until a thread has begun it in time; a withdrawn one is tried again.
        const auto late = co_await worker
                              .call_detachable([to_pass] {
                                  to_pass->pass();
                                  return Token();
                              })
                              .within(1ms);
        // One that a thread took in time, but that has not come to say so yet, still has the slot.
        CHECK_IN_TASK((code_of(late) == Errc::timed_out || code_of(late) == Errc::overflow));
    }
    // Its slot is taken until it ends, and no longer.
    CHECK_IN_TASK(worker.calls() == 1);
    const auto refused = co_await worker.call([] {});
    CHECK_IN_TASK(code_of(refused) == Errc::overflow);
    gate.open = true;
    for (;;) {
        const auto served = co_await worker.call([] { return 3; });
        if (served) co_return;
        CHECK_IN_TASK(code_of(served) == Errc::overflow);
        WEIR_CO_CHECK(sleep_for(10us));
    }
}
TEST_CASE("a detachable call ends at its deadline, runs on, drops its result and gives its slot back") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        {
            Gate gate;
            StaticWorker<1, 1> worker;
            must_start(worker);
            running.must_run(leaves_it_behind(*running, worker, gate));
        }
        CHECK(Token::alive == 0);
    });
}

// Calls that end around their deadlines, in both ways: none is lost, doubled, or leaves a slot behind.
Task<> calls_at_random(Scheduler&, Worker& worker, std::uint32_t random) {
    for (int i = 0; i < 300; ++i) {
        random = random * 1'664'525U + 1'013'904'223U;
        const std::uint32_t spins = (random >> 8) % 2'000;
        const auto spin = [spins, i] {
            for (std::atomic<std::uint32_t> turns{0}; turns < spins;) ++turns;
            return i;
        };
        const auto span = std::chrono::microseconds(random % 31);
        if (i % 2 == 0) {
            const auto got = co_await worker.call(spin).within(span);
            CHECK_IN_TASK((got ? *got == i : code_of(got) == Errc::timed_out));
        } else {
            const auto got = co_await worker.call_detachable(spin).within(span);
            CHECK_IN_TASK(
                (got ? *got == i : code_of(got) == Errc::timed_out || code_of(got) == Errc::overflow));
        }
    }
}
TEST_CASE("calls whose deadlines pass as they end give their own result or time out") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        StaticWorker<2, 8> worker;
        must_start(worker);
        running.must_run([](Scheduler& scheduler, Worker& threads, std::uint32_t random) -> Task<> {
            WEIR_CO_CHECK(all_of(calls_at_random(scheduler, threads, random),
                                 calls_at_random(scheduler, threads, random + 99)));
        }(*running, worker, static_cast<std::uint32_t>(seed)));
        worker.close();
        CHECK(worker.calls() == 0);
    });
}

// --- limits

TEST_CASE("a worker that is not started, or started twice, or given too much says so") {
    Running running;
    StaticWorker<1, 1, 64> worker;
    running.must_run([](Scheduler&, Worker& idle) -> Task<> {
        const auto closed = co_await idle.call([] {});
        CHECK_IN_TASK(code_of(closed) == Errc::closed);
    }(*running, worker));
    must_start(worker);
    CHECK(code_of(worker.start()) == Errc::busy);
    running.must_run([](Scheduler&, Worker& narrow) -> Task<> {
        const std::array<char, 200> much{};
        const auto large = co_await narrow.call_detachable([much] { return much[0]; });
        CHECK_IN_TASK(code_of(large) == Errc::too_large);
        CHECK_IN_TASK(large.error().b == 64);
        WEIR_CO_TRY(const char kept, narrow.call([much] { return much[0]; }));
        CHECK_IN_TASK(kept == 0);
    }(*running, worker));
    worker.close();
    must_start(worker);
    running.must_run(
        [](Scheduler&, Worker& again) -> Task<> { WEIR_CO_CHECK(again.call([] {})); }(*running, worker));
}

}  // namespace
