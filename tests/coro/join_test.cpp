// SPDX-License-Identifier: MIT
#include <weir/coro/channel.hpp>
#include <weir/coro/deadline.hpp>
#include <weir/coro/event.hpp>
#include <weir/coro/group.hpp>
#include <weir/coro/join.hpp>
#include <weir/coro/mutex.hpp>
#include <weir/coro/semaphore.hpp>
#include <weir/coro/sleep.hpp>

#include "support/catch.hpp"
#include "support/said.hpp"

#include "bare_context.hpp"
#include "counted.hpp"

#include <memory>
#include <string>

using namespace std::chrono_literals;
using weir::all_of;
using weir::Duration;
using weir::Errc;
using weir::first_of;
using weir::Task;
using weir::test::BareContext;
using weir::test::Counted;
using weir::test::said;

namespace {

Task<int> give(BareContext&, int number, Duration span = 0s) {
    WEIR_CO_CHECK(weir::sleep_for(span));
    co_return number;
}
Task<int> refuse(BareContext&, Errc code, Duration span = 0s) {
    WEIR_CO_CHECK(weir::sleep_for(span));
    co_return co_await weir::fail(code, "arm");
}
/// Ends with a value even when it is stopped.
Task<int> stubborn(BareContext&, int number) {
    const auto slept = co_await weir::sleep_for(1h);
    co_return slept ? 0 : number;
}
Task<std::unique_ptr<int>> box(BareContext&, int number, Counted counted) {
    WEIR_CO_CHECK(weir::yield());
    co_return std::make_unique<int>(number + counted.number);
}

}  // namespace

TEST_CASE("all_of gives every value, from arms that complete at once and arms that do not") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        WEIR_CO_TRY(auto both, all_of(give(of, 1), give(of, 2, 5ms), weir::sleep_for(1ms), weir::yield()));
        CHECK(std::get<0>(both) == 1);
        CHECK(std::get<1>(both) == 2);
        WEIR_CO_TRY(auto inline_only, all_of(give(of, 3), give(of, 4)));
        CHECK(std::get<1>(inline_only) == 4);
        WEIR_CO_TRY(auto boxes, all_of(box(of, 1, Counted(10)), box(of, 2, Counted(20))));
        CHECK(*std::get<1>(boxes) == 22);
        WEIR_CO_TRY(auto one, all_of(give(of, 5)));
        CHECK(std::get<0>(one) == 5);
    };
    CHECK(context.run(root(context)));
    CHECK(Counted::live == 0);
    CHECK(Counted::strays == 0);
    CHECK(context.idle());
}

TEST_CASE("arms that all complete at once cost no trip through the ready list") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        const auto began = of.items_run();
        for (int i = 0; i < 10; ++i) {
            const auto all = co_await all_of(give(of, 1), give(of, 2));
            CHECK(said(all) == "value");
            const auto first = co_await first_of(give(of, 1), give(of, 2));
            CHECK(first.index() == 0);
        }
        CHECK(of.items_run() == began);
    };
    CHECK(context.run(root(context)));
}

TEST_CASE("the first error of all_of stops the other arms, joins them and is the result") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        const auto began = of.now();
        const auto failed =
            co_await all_of(give(of, 1, 1h), refuse(of, Errc::denied, 2ms), refuse(of, Errc::busy, 3ms));
        CHECK(said(failed) == "permission denied");
        CHECK(of.now() == began + 2ms);
        const auto at_once =
            co_await all_of(refuse(of, Errc::denied), give(of, 1, 1h), refuse(of, Errc::busy));
        CHECK(said(at_once) == "permission denied");
        CHECK(of.now() == began + 2ms);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("first_of gives the first to end and keeps every arm's outcome") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        const auto began = of.now();
        auto first =
            co_await first_of(give(of, 1, 1h), give(of, 2, 1ms), stubborn(of, 3), box(of, 4, Counted(0)));
        CHECK(first.index() == 3);
        CHECK(said(first) == "value");
        CHECK(said(first.get<0>()) == "cancelled");
        CHECK(said(first.get<1>()) == "cancelled");
        CHECK(first.get<2>().value_or(0) == 3);  // its value came after the stop and is not lost
        CHECK(**first.get<3>() == 4);
        CHECK(of.now() == began);
        const auto boxed = std::move(*first.get<3>());
        CHECK(*boxed == 4);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("when the first arm completes at once the later ones are refused without being tried") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        weir::Semaphore semaphore(5);
        auto first = co_await first_of(give(of, 1), semaphore.acquire(), box(of, 2, Counted(0)));
        CHECK(first.index() == 0);
        CHECK(said(first.get<1>()) == "cancelled");
        CHECK(said(first.get<2>()) == "cancelled");
        CHECK(semaphore.available() == 5);
        const auto second = co_await first_of(weir::sleep_for(1h), semaphore.acquire(), semaphore.acquire());
        CHECK(second.index() == 1);
        CHECK(said(second.get<0>()) == "cancelled");
        CHECK(semaphore.available() == 4);
    };
    CHECK(context.run(root(context)));
    CHECK(Counted::live == 0);
    CHECK(context.idle());
}

TEST_CASE("arms that end in the same turn all keep their values") {
    BareContext context;
    const auto sets = [](BareContext&, weir::Event& event) -> Task<> {
        WEIR_CO_CHECK(weir::sleep_for(1ms));
        event.set();
    };
    const auto waits = [](BareContext&, weir::Event& event, bool& first_done) -> Task<> {
        const auto both = co_await first_of(event.wait(), event.wait());
        CHECK(both.index() == 0);
        CHECK(said(both.get<0>()) == "value");
        CHECK(said(both.get<1>()) == "value");  // granted before the first arm was looked at
        first_done = true;
    };
    const auto root = [](BareContext& of, decltype(sets) set, decltype(waits) wait) -> Task<> {
        weir::Event event;
        bool done = false;
        WEIR_CO_CHECK(all_of(wait(of, event, done), set(of, event)));
        CHECK(done);
    };
    CHECK(context.run(root(context, sets, waits)));
}

TEST_CASE("WEIR_CO_CHECK of first_of ends the task if and only if the first arm to end failed") {
    BareContext context;
    const auto checked = [](BareContext& of, Duration failing) -> Task<> {
        WEIR_CO_CHECK(first_of(give(of, 1, 2ms), refuse(of, Errc::denied, failing)));
    };
    const auto good = context.run(checked(context, 3ms));
    CHECK(said(good) == "value");
    const auto bad = context.run(checked(context, 1ms));
    CHECK(said(bad) == "permission denied");
    CHECK(std::string(bad.error().operation) == "arm");
    CHECK(context.idle());
}

TEST_CASE("combinators nest in each other and in groups and deadlines") {
    BareContext context;
    const auto body = [](BareContext& of, weir::Group& group, int& ended) -> Task<> {
        const auto child = [](BareContext& inner, int& count) -> Task<> {
            WEIR_CO_CHECK(first_of(give(inner, 1, 2ms), give(inner, 2, 1h)));
            ++count;
        };
        WEIR_CO_CHECK(group.spawn(child(of, ended)));
        WEIR_CO_CHECK(group.spawn(child(of, ended)));
    };
    const auto root = [](BareContext& of, decltype(body) run) -> Task<> {
        const auto began = of.now();
        int ended = 0;
        auto nested =
            co_await all_of(first_of(give(of, 1, 1ms), all_of(give(of, 2, 1h), give(of, 3))),
                            all_of(give(of, 4), weir::sleep_for(3ms)),
                            weir::with_group<2>(of, run, std::ref(ended)), give(of, 5, 1h).within(4ms));
        CHECK(said(nested) == "timed out");
        CHECK(ended == 2);
        CHECK(of.now() == began + 4ms);
        WEIR_CO_TRY(auto all, all_of(first_of(give(of, 1, 1ms), all_of(give(of, 2, 1h), give(of, 3))),
                                     all_of(give(of, 4), weir::sleep_for(3ms))));
        CHECK(std::get<0>(all).index() == 0);
        CHECK(said(std::get<0>(all).get<1>()) == "cancelled");
        CHECK(std::get<0>(std::get<1>(all)) == 4);
    };
    CHECK(context.run(root(context, body)));
    CHECK(context.idle());
}

TEST_CASE("a deadline around a combinator ends it as timed_out, inside as cancelled") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        const auto first = co_await first_of(give(of, 1, 1h), give(of, 2, 2h)).within(1s);
        CHECK(said(first) == "timed out");
        CHECK(said(first.get<0>()) == "cancelled");
        CHECK(said(first.get<1>()) == "cancelled");
        const auto all = co_await all_of(give(of, 1), give(of, 2, 2h)).within(1s);
        CHECK(said(all) == "timed out");
        const auto kept = co_await first_of(stubborn(of, 7), give(of, 2, 2h)).within(1s);
        CHECK(kept.get<0>().value_or(0) == 7);
        const auto in_time = co_await first_of(give(of, 1, 1ms), give(of, 2, 2h)).within(1s);
        CHECK(said(in_time) == "value");
        CHECK(of.timers.count() == 0);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("a stop reaches every arm") {
    BareContext context;
    const auto stops = [](BareContext& of) -> Task<> {
        WEIR_CO_CHECK(weir::sleep_for(1ms));
        of.stop();
    };
    const auto root = [](BareContext& of, decltype(stops) stop) -> Task<> {
        weir::Event event;
        weir::Channel<int, 2> channel;
        const auto all =
            co_await all_of(stop(of), event.wait(), channel.receive(), give(of, 1, 1h), stubborn(of, 2));
        CHECK(said(all) == "cancelled");
    };
    CHECK(context.run(root(context, stops)));
    CHECK(context.idle());
}

TEST_CASE("an arm whose frame could not be had is an outcome like others") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        of.frames.refuse_in(2);
        auto second = give(of, 1, 1h);
        auto third = give(of, 2);
        CHECK(third.hollow());
        const auto first = co_await first_of(std::move(second), std::move(third));
        CHECK(first.index() == 1);
        CHECK(said(first) == "no task frame is left");
        CHECK(first.error().b == of.frames.capacity());
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("a lock that was granted to an arm which lost is in its outcome, and let go with it") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        weir::Mutex mutex;
        {
            auto first = co_await first_of(mutex.lock(), give(of, 1));
            CHECK(first.index() == 0);
            CHECK(mutex.locked());
        }
        CHECK(!mutex.locked());
    };
    CHECK(context.run(root(context)));
}

TEST_CASE("combinators of named and of temporary tasks destroy each parameter once") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        for (int i = 0; i < 20; ++i) {
            auto named = box(of, 1, Counted(1));
            const auto first = co_await first_of(std::move(named), box(of, 2, Counted(2))).within(1s);
            CHECK(first.index() == 0);
            const auto all =
                co_await all_of(box(of, 1, Counted(1)), box(of, 2, Counted(2)).within(1s)).within(1s);
            CHECK(said(all) == "value");
            WEIR_CO_CHECK(first_of(box(of, 1, Counted(1)), box(of, 2, Counted(2))));
            WEIR_CO_CHECK(weir::shielded(1s, all_of(box(of, 1, Counted(1)), box(of, 2, Counted(2)))));
            { const auto dropped = all_of(box(of, 1, Counted(1)), first_of(box(of, 2, Counted(2)))); }
        }
    };
    CHECK(context.run(root(context)));
    CHECK(Counted::live == 0);
    CHECK(Counted::copies == 0);
    CHECK(Counted::strays == 0);
    CHECK(context.idle());
}
