// SPDX-License-Identifier: MIT
#include <weir/io/signal.hpp>

#include "running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include <atomic>
#include <csignal>
#include <thread>

#include <sys/signalfd.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

void skip_on_simulated() {
    if (on_simulated()) skip("the kernel sends signals, outside the simulation");
}

bool blocked(int signal) {
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return ::sigismember(&now, signal) == 1;
}

Task<> takes(Scheduler&, SignalSet& signals, int signal, int& value) {
    WEIR_CO_TRY(const SignalInfo got, signals.next());
    CHECK_IN_TASK(got.signal == signal);
    CHECK_IN_TASK(got.pid == ::getpid());
    CHECK_IN_TASK(got.uid == ::getuid());
    value = got.value;
}
Task<> sends_later(Scheduler&, int signal, int value) {
    WEIR_CO_CHECK(sleep_for(500us));
    sigval with{};
    with.sival_int = value;
    CHECK_IN_TASK(::sigqueue(::getpid(), signal, with) == 0);
}
Task<> none_comes(Scheduler&, SignalSet& signals) {
    const auto nothing = co_await signals.next().within(500us);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
}

TEST_CASE("next gives each signal with who sent it and what with it") {
    skip_on_simulated();
    Running running;
    auto signals = SignalSet::block({SIGUSR1, SIGUSR2});
    REQUIRE(signals.has_value());
    for (const int signal : {SIGUSR2, SIGUSR1, SIGUSR1}) {
        int value = 0;
        running.must_run([](Scheduler& scheduler, SignalSet& set, int which, int& got) -> Task<> {
            WEIR_CO_CHECK(all_of(takes(scheduler, set, which, got), sends_later(scheduler, which, 77)));
        }(*running, *signals, signal, value));
        CHECK(value == 77);
    }
    running.must_run(none_comes(*running, *signals));
}

TEST_CASE("several sets each get their own signals") {
    skip_on_simulated();
    Running running;
    auto first = SignalSet::block({SIGUSR1});
    auto second = SignalSet::block({SIGUSR2});
    REQUIRE(first.has_value());
    REQUIRE(second.has_value());
    REQUIRE(::raise(SIGUSR2) == 0);
    REQUIRE(::raise(SIGUSR1) == 0);
    running.must_run([](Scheduler& scheduler, SignalSet& one, SignalSet& two) -> Task<> {
        int ignored = 0;
        WEIR_CO_CHECK(
            all_of(takes(scheduler, one, SIGUSR1, ignored), takes(scheduler, two, SIGUSR2, ignored)));
        WEIR_CO_CHECK(all_of(none_comes(scheduler, one), none_comes(scheduler, two)));
    }(*running, *first, *second));
}

TEST_CASE("closing a set unblocks what it had blocked, and nothing else") {
    skip_on_simulated();
    sigset_t one;
    ::sigemptyset(&one);
    ::sigaddset(&one, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
    {
        auto signals = SignalSet::block({SIGUSR1, SIGUSR2});
        REQUIRE(signals.has_value());
        CHECK(blocked(SIGUSR1));
        SignalSet moved = std::move(*signals);
        CHECK(blocked(SIGUSR1));
    }
    CHECK_FALSE(blocked(SIGUSR1));
    CHECK(blocked(SIGUSR2));
    ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

TEST_CASE("a signal in two sets stays blocked, and pending, until both are closed") {
    skip_on_simulated();
    Running running;
    auto kept = SignalSet::block({SIGUSR1});
    REQUIRE(kept.has_value());
    for (const bool kept_first : {true, false}) {
        INFO(kept_first);
        auto closed = SignalSet::block({SIGUSR1, SIGUSR2});
        REQUIRE(closed.has_value());
        if (!kept_first) {
            // The set that blocked first is the one to go.
            std::swap(*kept, *closed);
        }
        REQUIRE(::raise(SIGUSR1) == 0);
        closed->close();
        CHECK(blocked(SIGUSR1));
        int ignored = 0;
        running.must_run(takes(*running, *kept, SIGUSR1, ignored));
    }
    kept->close();
    CHECK_FALSE(blocked(SIGUSR1));
    CHECK_FALSE(blocked(SIGUSR2));
}

TEST_CASE("a signal that is still pending when its set is closed does not end the program") {
    skip_on_simulated();
    const auto end = run_in_child([] {
        auto signals = SignalSet::block({SIGTERM, SIGINT});
        if (!signals) return 2;
        ::raise(SIGTERM);
        ::raise(SIGINT);
        signals->close();
        return blocked(SIGTERM) ? 3 : 0;
    });
    CHECK(end.signal == 0);
    CHECK(end.exit_status == 0);
}

TEST_CASE("equal signals that arrive together are one, but real-time signals queue") {
    skip_on_simulated();
    Running running;
    auto signals = SignalSet::block({SIGUSR1, SIGRTMIN});
    REQUIRE(signals.has_value());
    for (int i = 1; i <= 3; ++i) {
        REQUIRE(::raise(SIGUSR1) == 0);
        sigval with{};
        with.sival_int = i;
        REQUIRE(::sigqueue(::getpid(), SIGRTMIN, with) == 0);
    }
    running.must_run([](Scheduler& scheduler, SignalSet& set) -> Task<> {
        int usr1 = 0;
        int queued = 0;
        for (int i = 0; i < 4; ++i) {
            WEIR_CO_TRY(const SignalInfo got, set.next());
            if (got.signal == SIGUSR1) {
                ++usr1;
            } else {
                CHECK_IN_TASK(got.value == ++queued);
            }
        }
        CHECK_IN_TASK(usr1 == 1);
        CHECK_IN_TASK(queued == 3);
        WEIR_CO_CHECK(none_comes(scheduler, set));
    }(*running, *signals));
}

TEST_CASE("signals that cannot be caught, or are none, are invalid and nothing is blocked") {
    for (const int wrong : {SIGKILL, SIGSTOP, 0, -1, 65, 1'000}) {
        INFO(wrong);
        CHECK(code_of(SignalSet::block({SIGUSR1, wrong})) == Errc::invalid);
        CHECK_FALSE(blocked(SIGUSR1));
    }
}

// Signals that come around the deadlines of next(): each is given exactly once, in order.
constexpr int queued_signals = 400;

TEST_CASE("no signal is lost to a next whose deadline passes as it comes") {
    skip_on_simulated();
    Running running;
    auto signals = SignalSet::block({SIGRTMIN});  // the sender inherits the mask
    REQUIRE(signals.has_value());
    std::atomic<int> count = 0;
    std::thread sender([&count] {
        std::uint32_t random = 1;
        for (int i = 0; i < queued_signals; ++i) {
            random = random * 1'664'525U + 1'013'904'223U;
            while (i > count + 1) std::this_thread::yield();  // all of them at once would meet no deadline
            const Instant at = after(MonotonicClock::now(), std::chrono::microseconds((random >> 8) % 40));
            while (MonotonicClock::now() < at) {}
            sigval with{};
            with.sival_int = i;
            while (::sigqueue(::getpid(), SIGRTMIN, with) != 0) {}  // EAGAIN: too many are pending
        }
    });
    int time_outs = 0;
    const auto outcome =
        running.run([](Scheduler&, SignalSet& set, std::atomic<int>& expected, int& late) -> Task<> {
            std::uint32_t random = 7;
            while (expected < queued_signals) {
                random = random * 1'664'525U + 1'013'904'223U;
                const auto got = co_await set.next().within(std::chrono::microseconds((random >> 8) % 31));
                if (got) {
                    CHECK_IN_TASK(got->value == expected);
                    ++expected;
                } else {
                    if (got.error() != Errc::timed_out) co_return co_await fail(got.error());
                    ++late;
                }
            }
        }(*running, *signals, count, time_outs));
    const int taken = count.exchange(queued_signals);  // after a failure the sender ends, too
    sender.join();
    CHECK(outcome.has_value());
    CHECK(taken == queued_signals);
    CHECK(time_outs > 0);
}

Task<> waits_for_signal(Scheduler&, SignalSet& signals, std::optional<Errc>& seen) {
    const auto got = co_await signals.next().within(1ms);
    seen = code_of(got);
}
Task<> waits_beside(Scheduler&, SignalSet& signals, std::optional<Errc>& seen) {
    WEIR_CO_CHECK(yield());
    const auto got = co_await signals.next();
    seen = code_of(got);
}
TEST_CASE("a second task that waits for the same set is told busy") {
    skip_on_simulated();
    Running running;
    auto signals = SignalSet::block({SIGUSR1});
    REQUIRE(signals.has_value());
    std::optional<Errc> first;
    std::optional<Errc> second;
    running.must_run([](Scheduler& scheduler, SignalSet& set, std::optional<Errc>& one,
                        std::optional<Errc>& two) -> Task<> {
        WEIR_CO_CHECK(all_of(waits_for_signal(scheduler, set, one), waits_beside(scheduler, set, two)));
    }(*running, *signals, first, second));
    CHECK(first == Errc::timed_out);
    CHECK(second == Errc::busy);
}

TEST_CASE("a signalfd is adopted and released, and its signals stay blocked") {
    skip_on_simulated();
    sigset_t mask;
    ::sigemptyset(&mask);
    ::sigaddset(&mask, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &mask, nullptr);
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    CHECK(code_of(SignalSet::adopt(pipe[0])) == Errc::wrong_kind);
    CHECK(code_of(SignalSet::adopt(-1)) == Errc::closed);
    {
        Running running;
        auto signals = SignalSet::adopt(::signalfd(-1, &mask, 0));
        REQUIRE(signals.has_value());
        REQUIRE(::raise(SIGUSR1) == 0);
        int ignored = 0;
        running.must_run(takes(*running, *signals, SIGUSR1, ignored));
    }
    CHECK(blocked(SIGUSR1));
    {
        auto signals = SignalSet::block({SIGUSR2});
        REQUIRE(signals.has_value());
        const Fd released(signals->release());
        CHECK(released);
    }
    CHECK(blocked(SIGUSR2));
    ::sigaddset(&mask, SIGUSR2);
    ::pthread_sigmask(SIG_UNBLOCK, &mask, nullptr);
    ::close(pipe[0]);
    ::close(pipe[1]);
}

}  // namespace
