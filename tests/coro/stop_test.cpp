// SPDX-License-Identifier: MIT
#include <weir/coro/deadline.hpp>
#include <weir/coro/event.hpp>
#include <weir/coro/group.hpp>
#include <weir/coro/join.hpp>
#include <weir/coro/semaphore.hpp>
#include <weir/coro/sleep.hpp>

#include "support/catch.hpp"

#include "bare_context.hpp"

#include <vector>

using namespace std::chrono_literals;
using weir::Errc;
using weir::Result;
using weir::Task;
using weir::test::BareContext;

namespace {

/// The code of a result's error, or nothing.
template <class R>
std::optional<Errc> code_of(const R& result) {
    if (result) return std::nullopt;
    return result.error().code;
}

using Codes = std::vector<std::optional<Errc>>;

Task<> ran(BareContext&, bool& mark) {
    mark = true;
    co_return;
}

Task<> after_a_stop(BareContext& context, Codes& codes, bool& child_ran) {
    context.stop();
    const auto slept = co_await weir::sleep_for(1h);
    codes.push_back(code_of(slept));
    const auto past = co_await weir::sleep_for(0s);
    codes.push_back(code_of(past));
    const auto yielded = co_await weir::yield();
    codes.push_back(code_of(yielded));
    const auto child = co_await ran(context, child_ran);
    codes.push_back(code_of(child));
    weir::Semaphore semaphore(1);
    const auto acquired = co_await semaphore.acquire();
    codes.push_back(code_of(acquired));
    CHECK(semaphore.available() == 1);
    weir::Event event;
    event.set();
    const auto waited = co_await event.wait().within(1s);
    codes.push_back(code_of(waited));
    const auto all = co_await weir::all_of(weir::yield(), ran(context, child_ran));
    codes.push_back(code_of(all));
    const auto first = co_await weir::first_of(weir::yield(), ran(context, child_ran));
    codes.push_back(code_of(first));
    codes.push_back(code_of(first.get<0>()));
    codes.push_back(code_of(first.get<1>()));
}

}  // namespace

TEST_CASE("whatever is started under a stop is refused without being tried, again and again") {
    BareContext context;
    Codes codes;
    bool child_ran = false;
    CHECK(context.run(after_a_stop(context, codes, child_ran)));
    CHECK(codes == Codes(10, Errc::cancelled));
    CHECK(!child_ran);
    CHECK(context.idle());
}

namespace {

Task<> inherits(BareContext& context, int depth, int& cancelled) {
    if (depth == 0) {
        const auto slept = co_await weir::sleep_for(1h);
        if (code_of(slept) == Errc::cancelled) ++cancelled;
        const auto again = co_await weir::sleep_for(1h);
        if (code_of(again) == Errc::cancelled) ++cancelled;
        co_return co_await weir::fail(slept.error());
    }
    const auto child = co_await inherits(context, depth - 1, cancelled);
    if (code_of(child) == Errc::cancelled) ++cancelled;
    const auto again = co_await weir::yield();
    if (code_of(again) == Errc::cancelled) ++cancelled;
}
Task<> stops_soon(BareContext& context) {
    WEIR_CO_CHECK(weir::sleep_for(1ms));
    context.stop();
}

}  // namespace

TEST_CASE("a stop reaches children and children's children in flight") {
    BareContext context;
    int cancelled = 0;
    const auto root = [](BareContext& inner, int& count) -> Task<> {
        const auto both = co_await weir::all_of(inherits(inner, 3, count), stops_soon(inner));
        CHECK(both.has_value());  // they chose to end well
    };
    CHECK(context.run(root(context, cancelled)));
    CHECK(cancelled == 2 + 2 + 1 + 1);
    CHECK(context.now() < weir::instant_of_ns(2'000'000'000));
    CHECK(context.idle());
}

TEST_CASE("a stopped task that ends at its first error unwinds as cancelled") {
    BareContext context;
    const auto root = [](BareContext& inner) -> Task<> {
        WEIR_CO_CHECK(weir::all_of(weir::sleep_for(1h), stops_soon(inner)));
    };
    const auto result = context.run(root(context));
    REQUIRE(!result);
    CHECK(result.error() == Errc::cancelled);
}

namespace {

Task<> says_goodbye(BareContext& context, bool& said) {
    WEIR_CO_CHECK(weir::sleep_for(10ms));
    WEIR_CO_CHECK(weir::yield());
    WEIR_CO_CHECK(ran(context, said));
}
Task<> shields(BareContext& context, bool& said, Codes& codes) {
    context.stop();
    const auto shielded = co_await weir::shielded(1s, says_goodbye(context, said));
    codes.push_back(code_of(shielded));
    const auto operation = co_await weir::shielded(1s, weir::sleep_for(1ms));
    codes.push_back(code_of(operation));
    const auto arms = co_await weir::first_of(weir::sleep_for(1ms), weir::shielded(1s, weir::sleep_for(5ms)));
    codes.push_back(code_of(arms.get<0>()));
    const auto plain = co_await weir::sleep_for(1ms);
    codes.push_back(code_of(plain));
}

}  // namespace

TEST_CASE("what is shielded runs under a stop") {
    BareContext context;
    bool said = false;
    Codes codes;
    CHECK(context.run(shields(context, said, codes)));
    CHECK(said);
    CHECK(codes == Codes{std::nullopt, std::nullopt, Errc::cancelled, Errc::cancelled});
    CHECK(context.idle());
}

TEST_CASE("a stop that comes later does not reach into a shield, and its deadline ends it as timed_out") {
    BareContext context;
    const auto began = context.now();
    const auto inside = [](BareContext&, Codes& codes) -> Task<> {
        const auto slept = co_await weir::sleep_for(1h);
        codes.push_back(code_of(slept));
        co_return co_await weir::fail(slept.error());
    };
    const auto root = [](BareContext& inner, decltype(inside) body, Codes& codes) -> Task<> {
        const auto both = co_await weir::first_of(stops_soon(inner), weir::shielded(2s, body(inner, codes)));
        codes.push_back(code_of(both.get<1>()));
    };
    Codes codes;
    CHECK(context.run(root(context, inside, codes)));
    CHECK(codes == Codes{Errc::cancelled, Errc::timed_out});
    CHECK(context.now() == began + 2s);
    CHECK(context.idle());
}

namespace {

Task<> grants_then_stops(BareContext& context, weir::Event& event) {
    WEIR_CO_CHECK(weir::sleep_for(1ms));
    event.set();
    context.stop();
}

}  // namespace

TEST_CASE("what was completed before the stop counts, though its task has not run yet") {
    BareContext context;
    const auto root = [](BareContext& inner) -> Task<> {
        weir::Event event;
        const auto both = co_await weir::all_of(event.wait(), grants_then_stops(inner, event));
        CHECK(both.has_value());
    };
    CHECK(context.run(root(context)));
}

TEST_CASE("a scope stopped twice keeps its first cause") {
    weir::StopScope scope;
    CHECK(!scope.stopped());
    scope.request_stop(weir::StopCause::deadline);
    scope.request_stop();
    CHECK(scope.cause() == weir::StopCause::deadline);
    weir::StopScope outer;
    weir::StopScope inner;
    weir::StopScope innermost;
    inner.enter(outer);
    innermost.enter(inner);
    outer.request_stop(weir::StopCause::deadline);
    CHECK(inner.cause() == weir::StopCause::requested);
    CHECK(innermost.cause() == weir::StopCause::requested);
}
