// SPDX-License-Identifier: MIT
#include <weir/coro/deadline.hpp>
#include <weir/coro/join.hpp>
#include <weir/coro/sleep.hpp>

#include "support/catch.hpp"

#include "bare_context.hpp"

#include <string>

using namespace std::chrono_literals;
using weir::Errc;
using weir::Task;
using weir::test::BareContext;

TEST_CASE("a sleep ends exactly when its span has passed") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        const auto began = of.now();
        WEIR_CO_CHECK(weir::sleep_for(1500us));
        CHECK(of.now() == began + 1500us);
        WEIR_CO_CHECK(weir::sleep_until(began + 30 * 24h));
        CHECK(of.now() == began + 30 * 24h);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("a sleep until the past, or of nothing, does not suspend") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        const auto began = of.items_run();
        for (int i = 0; i < 10; ++i) {
            WEIR_CO_CHECK(weir::sleep_until(of.now() - 1s));
            WEIR_CO_CHECK(weir::sleep_until(of.now()));
            WEIR_CO_CHECK(weir::sleep_for(0s));
            WEIR_CO_CHECK(weir::sleep_for(-1s));
        }
        CHECK(of.items_run() == began);
    };
    CHECK(context.run(root(context)));
}

TEST_CASE("sleepers wake in the order of their times") {
    BareContext context;
    const auto sleeper = [](BareContext&, weir::Duration span, std::string& order, char name) -> Task<> {
        WEIR_CO_CHECK(weir::sleep_for(span));
        order += name;
    };
    const auto root = [](BareContext& of, decltype(sleeper) sleep, std::string& order) -> Task<> {
        WEIR_CO_CHECK(weir::all_of(sleep(of, 3s, order, 'c'), sleep(of, 1s, order, 'a'),
                                   sleep(of, 4ms, order, '0'), sleep(of, 2s, order, 'b')));
    };
    std::string order;
    CHECK(context.run(root(context, sleeper, order)));
    CHECK(order == "0abc");
}

TEST_CASE("sleepers with slack wake together, none early and none beyond its slack") {
    BareContext context;
    const auto sleeper = [](BareContext& of, weir::Duration span, weir::Instant& woke) -> Task<> {
        const auto began = of.now();
        WEIR_CO_CHECK(weir::sleep_for(span, 100ms));
        CHECK(of.now() >= began + span);
        CHECK(of.now() <= began + span + 100ms);
        woke = of.now();
    };
    const auto root = [](BareContext& of, decltype(sleeper) sleep) -> Task<> {
        weir::Instant woke[3];
        WEIR_CO_CHECK(
            weir::all_of(sleep(of, 1000ms, woke[0]), sleep(of, 1003ms, woke[1]), sleep(of, 1007ms, woke[2])));
        CHECK(woke[0] == woke[1]);
        CHECK(woke[1] == woke[2]);
    };
    CHECK(context.run(root(context, sleeper)));
}

TEST_CASE("a yield lets every other ready task run once") {
    BareContext context;
    const auto turns = [](BareContext&, std::string& order, char name) -> Task<> {
        for (int i = 0; i < 3; ++i) {
            order += name;
            WEIR_CO_CHECK(weir::yield());
        }
    };
    const auto root = [](BareContext& of, decltype(turns) turn, std::string& order) -> Task<> {
        WEIR_CO_CHECK(weir::all_of(turn(of, order, 'a'), turn(of, order, 'b'), turn(of, order, 'c')));
    };
    std::string order;
    CHECK(context.run(root(context, turns, order)));
    CHECK(order == "abcabcabc");
}

TEST_CASE("a ticker ticks at multiples of its period, however late its task comes") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        weir::Ticker ticker(10ms);
        const auto began = of.now();
        for (std::uint64_t i = 1; i <= 100; ++i) {
            WEIR_CO_TRY(const auto tick, ticker.next());
            CHECK(tick.number == i);
            CHECK(tick.missed == 0);
            CHECK(of.now() == began + 10ms * i);
            of.spend(i % 9 * 1ms);  // work that takes a part of the period does not shift the next tick
        }
    };
    CHECK(context.run(root(context)));
}

TEST_CASE("ticks that came too late to be seen are counted, and one is given at once") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        weir::Ticker ticker(10ms);
        const auto began = of.now();
        WEIR_CO_TRY(const auto first, ticker.next());
        CHECK(first.number == 1);
        of.spend(35ms);  // 45 ms: the ticks 2, 3 and 4 are over
        WEIR_CO_TRY(const auto late, ticker.next());
        CHECK(late.number == 4);
        CHECK(late.missed == 2);
        CHECK(of.now() == began + 45ms);
        WEIR_CO_TRY(const auto next, ticker.next());
        CHECK(next.number == 5);
        CHECK(next.missed == 0);
        CHECK(of.now() == began + 50ms);
    };
    CHECK(context.run(root(context)));
}

TEST_CASE("a tick is not lost by a deadline or a stop") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        weir::Ticker ticker(10ms);
        const auto began = of.now();
        const auto early = co_await ticker.next().within(3ms);
        CHECK(!early.has_value());
        if (!early) CHECK(early.error() == Errc::timed_out);
        WEIR_CO_TRY(const auto tick, ticker.next());
        CHECK(tick.number == 1);
        CHECK(tick.missed == 0);
        CHECK(of.now() == began + 10ms);
        of.stop();
        const auto stopped = co_await ticker.next();
        CHECK(!stopped.has_value());
        if (!stopped) CHECK(stopped.error() == Errc::cancelled);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("a period that the clock cannot hold never ticks") {
    BareContext context;
    const auto root = [](BareContext&) -> Task<> {
        weir::Ticker ticker(weir::Duration::max());
        const auto tick = co_await ticker.next().within(1h);
        CHECK(!tick.has_value());
        if (!tick) CHECK(tick.error() == Errc::timed_out);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("a ticker with slack keeps its mean period") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        weir::Ticker ticker(10ms, 4ms);
        const auto began = of.now();
        for (std::uint64_t i = 1; i <= 50; ++i) {
            WEIR_CO_TRY(const auto tick, ticker.next());
            CHECK(tick.number == i);
            CHECK(of.now() >= began + 10ms * i);
            CHECK(of.now() <= began + 10ms * i + 4ms);
        }
    };
    CHECK(context.run(root(context)));
}
