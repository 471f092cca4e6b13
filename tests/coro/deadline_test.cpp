// SPDX-License-Identifier: MIT
#include <weir/coro/deadline.hpp>
#include <weir/coro/event.hpp>
#include <weir/coro/group.hpp>
#include <weir/coro/join.hpp>
#include <weir/coro/semaphore.hpp>
#include <weir/coro/sleep.hpp>

#include "support/catch.hpp"
#include "support/said.hpp"

#include "bare_context.hpp"

#include <string>

using namespace std::chrono_literals;
using weir::Duration;
using weir::Errc;
using weir::Task;
using weir::test::BareContext;
using weir::test::said;

namespace {

/// Sleeps, and notes how it ended.
Task<> sleeps(BareContext&, Duration span, std::string& ended) {
    const auto slept = co_await weir::sleep_for(span);
    ended = said(slept);
    WEIR_CO_CHECK(slept);
}
Task<> sleeps_within(BareContext& context, Duration span, Duration limit, std::string& inner,
                     std::string& outer) {
    const auto slept = co_await sleeps(context, span, inner).within(limit);
    outer = said(slept);
    WEIR_CO_CHECK(slept);
}

}  // namespace

TEST_CASE("only the await that carries the deadline sees timed_out") {
    BareContext context;
    std::string inner;
    const auto root = [](BareContext& of, std::string& ended) -> Task<> {
        const auto before = of.now();
        const auto slept = co_await sleeps(of, 1h, ended).within(30ms);
        CHECK(said(slept) == "timed out");
        CHECK(of.now() == before + 30ms);
    };
    CHECK(context.run(root(context, inner)));
    CHECK(inner == "cancelled");
    CHECK(context.idle());
}

TEST_CASE("the shorter of nested deadlines decides, and who sees what follows from it") {
    BareContext context;
    const auto root = [](BareContext& of, Duration inside, Duration outside, std::string* seen) -> Task<> {
        const auto slept = co_await sleeps_within(of, 1h, inside, seen[0], seen[1]).within(outside);
        seen[2] = said(slept);
    };
    std::string seen[3];
    CHECK(context.run(root(context, 10ms, 20ms, seen)));
    CHECK(seen[0] == "cancelled");
    CHECK(seen[1] == "timed out");
    CHECK(seen[2] == "timed out");  // the inner task passed its own error on
    CHECK(context.run(root(context, 20ms, 10ms, seen)));
    CHECK(seen[0] == "cancelled");
    CHECK(seen[1] == "cancelled");
    CHECK(seen[2] == "timed out");
    CHECK(context.idle());
}

TEST_CASE("deadlines chained on one await nest") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        const auto began = of.now();
        const auto short_inside = co_await weir::sleep_for(1h).within(1s).within(2s);
        CHECK(said(short_inside) == "timed out");
        CHECK(of.now() == began + 1s);
        const auto short_outside = co_await weir::sleep_for(1h).within(2s).within(1s);
        CHECK(said(short_outside) == "timed out");
        CHECK(of.now() == began + 2s);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("a deadline that is not reached leaves no trace") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        for (int i = 0; i < 1'000; ++i) {
            WEIR_CO_CHECK(weir::sleep_for(1ms).within(2ms));
            WEIR_CO_CHECK(weir::yield().within(1ms));
            WEIR_CO_CHECK(weir::sleep_for(1ms).by(of.now() + 1h));
            WEIR_CO_CHECK(weir::sleep_for(0ms).within(0ms));
        }
        CHECK(of.timers.count() == 0);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("an operation is tried before its deadline is looked at, even one in the past") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        weir::Semaphore semaphore(1);
        const auto had = co_await semaphore.acquire().by(of.now() - 1s);
        CHECK(said(had) == "value");
        const auto late = co_await semaphore.acquire().by(of.now() - 1s);
        CHECK(said(late) == "timed out");
        const auto negative = co_await semaphore.acquire().within(-1s);
        CHECK(said(negative) == "timed out");
        const auto earliest = co_await semaphore.acquire().by(weir::Instant::min());
        CHECK(said(earliest) == "timed out");
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("never, and spans beyond the end of time, are no deadline") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        WEIR_CO_CHECK(weir::sleep_for(24h * 365).by(weir::never));
        WEIR_CO_CHECK(weir::sleep_for(24h * 365).within(std::chrono::hours::max()));
        CHECK(of.timers.count() == 0);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

namespace {

Task<> sets_at(BareContext& context, weir::Event& event, Duration span) {
    WEIR_CO_CHECK(weir::sleep_for(span));
    event.set();
    context.spend(1h);  // so the deadline passes before the waiter has run
}

}  // namespace

TEST_CASE("a deadline that fires in the turn of the completion loses nothing") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        weir::Event event;
        const auto both = co_await weir::all_of(event.wait().within(10ms), sets_at(of, event, 9ms));
        CHECK(said(both) == "value");
        event.reset();
        const auto slept = co_await weir::sleep_for(10ms).within(10ms);  // the same instant, in either order
        CHECK((said(slept) == "value" || said(slept) == "timed out"));
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

namespace {

Task<int> wins_by_value(BareContext&) {
    const auto slept = co_await weir::sleep_for(1h);
    CHECK(said(slept) == "cancelled");
    co_return 42;
}
Task<int> wins_by_error(BareContext&) {
    const auto slept = co_await weir::sleep_for(1h);
    co_return co_await weir::fail(Errc::peer_lost, said(slept) == "cancelled" ? "x" : "y");
}

}  // namespace

TEST_CASE("a task that ends with a value or an error of its own after its deadline keeps it") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        const auto value = co_await wins_by_value(of).within(1ms);
        CHECK(value.value_or(0) == 42);
        const auto error = co_await wins_by_error(of).within(1ms);
        CHECK(said(error) == "the peer was lost");
    };
    CHECK(context.run(root(context)));
}

TEST_CASE("a stop from outside is cancelled and not timed_out to the await with a deadline") {
    BareContext context;
    const auto stops = [](BareContext& of) -> Task<> {
        WEIR_CO_CHECK(weir::yield());
        of.stop();
    };
    const auto root = [](BareContext& of, decltype(stops) stop) -> Task<> {
        std::string inner;
        const auto both = co_await weir::first_of(sleeps(of, 1h, inner).within(1s), stop(of));
        CHECK(said(both.get<0>()) == "cancelled");
        CHECK(inner == "cancelled");
    };
    CHECK(context.run(root(context, stops)));
    CHECK(context.idle());
}

TEST_CASE("a deadline on a trivial description leaves the description as it was") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        const weir::Sleep sleep = weir::sleep_for(10ms);
        const auto timed = co_await sleep.within(1ms);
        CHECK(said(timed) == "timed out");
        const auto began = of.now();
        const auto plain = co_await sleep;
        CHECK(said(plain) == "value");
        CHECK(of.now() == began + 10ms);
    };
    CHECK(context.run(root(context)));
}

TEST_CASE("a deadline stops a loop that never waits") {
    BareContext context;
    const auto spins = [](BareContext& of) -> Task<> {
        for (;;) {
            of.spend(1us);
            WEIR_CO_CHECK(weir::yield());
        }
    };
    const auto root = [](BareContext& of, decltype(spins) spin) -> Task<> {
        const auto ended = co_await spin(of).within(1ms);
        CHECK(said(ended) == "timed out");
    };
    CHECK(context.run(root(context, spins)));
    CHECK(context.idle());
}
