// SPDX-License-Identifier: MIT
#include <weir/coro/deadline.hpp>
#include <weir/coro/event.hpp>
#include <weir/coro/group.hpp>
#include <weir/coro/join.hpp>
#include <weir/coro/sleep.hpp>

#include "support/catch.hpp"
#include "support/said.hpp"

#include "bare_context.hpp"
#include "counted.hpp"

#include <string>
#include <vector>

using namespace std::chrono_literals;
using weir::Duration;
using weir::Errc;
using weir::Error;
using weir::Group;
using weir::Priority;
using weir::Task;
using weir::with_group;
using weir::test::BareContext;
using weir::test::Counted;
using weir::test::said;

namespace {

Task<> sleeps(BareContext&, Duration span, int& ended) {
    const auto slept = co_await weir::sleep_for(span);
    ++ended;
    WEIR_CO_CHECK(slept);
}
Task<> fails_after(BareContext&, Duration span, Errc code) {
    WEIR_CO_CHECK(weir::sleep_for(span));
    co_return co_await weir::fail(code, "child");
}

Task<> body_spawns(BareContext& context, Group& group, int count, int& ended) {
    for (int i = 0; i < count; ++i) WEIR_CO_CHECK(group.spawn(sleeps(context, (i + 1) * 1ms, ended)));
    CHECK(group.size() == static_cast<std::size_t>(count));
    CHECK(group.capacity() == 8);
}
Task<> body_spawns_and_fails(BareContext& context, Group& group, int& ended) {
    for (int i = 0; i < 3; ++i) WEIR_CO_CHECK(group.spawn(sleeps(context, 1h, ended)));
    WEIR_CO_CHECK(weir::yield());
    co_return co_await weir::fail(Errc::denied, "body");
}

}  // namespace

TEST_CASE("children are joined when the body succeeds") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        int ended = 0;
        const auto began = of.now();
        const auto all = co_await with_group<8>(of, body_spawns, 8, std::ref(ended));
        CHECK(said(all) == "value");
        CHECK(ended == 8);
        CHECK(of.now() == began + 8ms);
        const auto none = co_await with_group<8>(of, body_spawns, 0, std::ref(ended));
        CHECK(said(none) == "value");
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("children are stopped and joined when the body fails, and its error is the result") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        int ended = 0;
        const auto began = of.now();
        const auto failed = co_await with_group<8>(of, body_spawns_and_fails, std::ref(ended));
        CHECK(said(failed) == "permission denied");
        CHECK(std::string(failed.error().operation) == "body");
        CHECK(ended == 3);
        CHECK(of.now() == began);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("the first error of a child stops body and children and is the result") {
    BareContext context;
    const auto body = [](BareContext& of, Group& group, int& ended) -> Task<> {
        WEIR_CO_CHECK(group.spawn(sleeps(of, 1h, ended)));
        WEIR_CO_CHECK(group.spawn(fails_after(of, 5ms, Errc::refused)));
        WEIR_CO_CHECK(group.spawn(fails_after(of, 6ms, Errc::denied)));
        const auto slept = co_await weir::sleep_for(1h);
        CHECK(said(slept) == "cancelled");
        WEIR_CO_CHECK(slept);
    };
    const auto root = [](BareContext& of, decltype(body) run) -> Task<> {
        int ended = 0;
        const auto began = of.now();
        const auto failed = co_await with_group<4>(of, run, std::ref(ended));
        CHECK(said(failed) == "nobody listens there");
        CHECK(ended == 1);
        CHECK(of.now() == began + 5ms);
        const auto named = co_await with_group<4>(of, weir::stop_group, run, std::ref(ended));
        CHECK(said(named) == "nobody listens there");
    };
    CHECK(context.run(root(context, body)));
    CHECK(context.idle());
}

TEST_CASE("a body's error stays the result though a stopped child then fails in its own way") {
    BareContext context;
    const auto stubborn = [](BareContext&) -> Task<> {
        const auto slept = co_await weir::sleep_for(1h);
        co_return co_await weir::fail(Errc::peer_lost, said(slept) == "cancelled" ? "child" : "");
    };
    const auto body = [](BareContext& of, Group& group, decltype(stubborn) child) -> Task<> {
        WEIR_CO_CHECK(group.spawn(child(of)));
        WEIR_CO_CHECK(weir::yield());
        co_return co_await weir::fail(Errc::denied, "body");
    };
    const auto root = [](BareContext& of, decltype(body) run, decltype(stubborn) child) -> Task<> {
        const auto failed = co_await with_group<4>(of, run, child);
        CHECK(said(failed) == "permission denied");
    };
    CHECK(context.run(root(context, body, stubborn)));
}

namespace {

using Errors = std::vector<Error>;
void keep(const Error& error, void* context) noexcept {
    static_cast<Errors*>(context)->push_back(error);
}

}  // namespace

TEST_CASE("a collecting group hands over each error and the others go on") {
    BareContext context;
    const auto body = [](BareContext& of, Group& group, int& ended) -> Task<> {
        WEIR_CO_CHECK(group.spawn(sleeps(of, 10ms, ended)));
        WEIR_CO_CHECK(group.spawn(fails_after(of, 1ms, Errc::refused)));
        WEIR_CO_CHECK(group.spawn(fails_after(of, 2ms, Errc::denied)));
        WEIR_CO_CHECK(group.spawn(fails_after(of, 3ms, Errc::cancelled)));  // nobody stopped it: an error
        WEIR_CO_CHECK(weir::sleep_for(5ms));
    };
    const auto root = [](BareContext& of, decltype(body) run, Errors& errors) -> Task<> {
        int ended = 0;
        const auto done = co_await with_group<4>(of, weir::collect(keep, &errors), run, std::ref(ended));
        CHECK(said(done) == "value");
        CHECK(ended == 1);
    };
    Errors errors;
    CHECK(context.run(root(context, body, errors)));
    REQUIRE(errors.size() == 3);
    CHECK(errors[0] == Errc::refused);
    CHECK(errors[1] == Errc::denied);
    CHECK(errors[2] == Errc::cancelled);
    CHECK(context.idle());
}

TEST_CASE("children that end as cancelled because the group was stopped are no errors") {
    BareContext context;
    const auto body = [](BareContext& of, Group& group, int& ended) -> Task<> {
        for (int i = 0; i < 4; ++i) WEIR_CO_CHECK(group.spawn(sleeps(of, 1h, ended)));
        WEIR_CO_CHECK(weir::sleep_for(1ms));
        group.request_stop();
    };
    const auto root = [](BareContext& of, decltype(body) run, Errors& errors) -> Task<> {
        int ended = 0;
        const auto collected = co_await with_group<4>(of, weir::collect(keep, &errors), run, std::ref(ended));
        CHECK(said(collected) == "value");
        const auto stopped = co_await with_group<4>(of, run, std::ref(ended));
        CHECK(said(stopped) == "value");
        CHECK(ended == 8);
    };
    Errors errors;
    CHECK(context.run(root(context, body, errors)));
    CHECK(errors.empty());
    CHECK(context.idle());
}

TEST_CASE("a full group refuses with its limit, and the task is dropped with all it was given") {
    BareContext context;
    const auto holds = [](BareContext&, Counted counted) -> Task<> {
        WEIR_CO_CHECK(weir::sleep_for(1ms));
        CHECK(counted.number == 1);
    };
    const auto body = [](BareContext& of, Group& group, decltype(holds) hold) -> Task<> {
        WEIR_CO_CHECK(group.spawn(hold(of, Counted(1))));
        WEIR_CO_CHECK(group.spawn(hold(of, Counted(1))));
        CHECK(Counted::live == 2);
        const auto refused = group.spawn(hold(of, Counted(2)));
        CHECK(said(refused) == "no group slot is left");
        CHECK(refused.error().b == 2);
        CHECK(Counted::live == 2);
        WEIR_CO_CHECK(weir::sleep_for(2ms));
        CHECK(Counted::live == 0);
        WEIR_CO_CHECK(group.spawn(hold(of, Counted(1))));
    };
    const auto root = [](BareContext& of, decltype(body) run, decltype(holds) hold) -> Task<> {
        WEIR_CO_CHECK(with_group<2>(of, run, hold));
    };
    CHECK(context.run(root(context, body, holds)));
    CHECK(Counted::live == 0);
    CHECK(Counted::strays == 0);
    CHECK(context.idle());
}

TEST_CASE("spawning a hollow task is no_frame with both sizes") {
    BareContext context;
    const auto body = [](BareContext& of, Group& group, int& ended) -> Task<> {
        of.frames.refuse_in(1);
        const auto refused = group.spawn(sleeps(of, 1ms, ended));
        CHECK(said(refused) == "no task frame is left");
        CHECK(refused.error().a > 0);
        CHECK(refused.error().b == of.frames.capacity());
        CHECK(group.size() == 0);
        co_return;
    };
    const auto root = [](BareContext& of, decltype(body) run) -> Task<> {
        int ended = 0;
        WEIR_CO_CHECK(with_group<2>(of, run, std::ref(ended)));
        CHECK(ended == 0);
        of.frames.refuse_in(1);
        const auto no_body = co_await with_group<2>(of, run, std::ref(ended));
        CHECK(said(no_body) == "no task frame is left");
    };
    CHECK(context.run(root(context, body)));
    CHECK(context.idle());
}

TEST_CASE("spawning while the group stops is cancelled, and drops the task") {
    BareContext context;
    const auto holds = [](BareContext&, Counted) -> Task<> { co_return; };
    const auto body = [](BareContext& of, Group& group, decltype(holds) hold) -> Task<> {
        group.request_stop();
        const auto refused = group.spawn(hold(of, Counted(1)));
        CHECK(said(refused) == "cancelled");
        CHECK(Counted::live == 0);
        co_return;
    };
    const auto root = [](BareContext& of, decltype(body) run, decltype(holds) hold) -> Task<> {
        WEIR_CO_CHECK(with_group<2>(of, run, hold));
        CHECK(of.now() > weir::Instant{});
    };
    CHECK(context.run(root(context, body, holds)));
    CHECK(Counted::strays == 0);
    CHECK(context.idle());
}

TEST_CASE("spawning into a group that is over, but whose awaiter has not run yet, is cancelled") {
    BareContext context;
    static bool refused = false;
    const auto outsider = [](BareContext& of, Group& ended) -> Task<> {
        while (ended.size() > 0) WEIR_CO_CHECK(weir::yield());
        refused = said(ended.spawn([](BareContext&) -> Task<> { co_return; }(of))) == "cancelled";
    };
    const auto child = [](BareContext&) -> Task<> { WEIR_CO_CHECK(weir::yield()); };
    const auto inner = [](BareContext& of, Group& group, Group& outer, decltype(outsider) other,
                          decltype(child) run) -> Task<> {
        WEIR_CO_CHECK(group.spawn(run(of)));
        // It overtakes the task that awaits this group.
        WEIR_CO_CHECK(outer.spawn(other(of, group), weir::Priority::urgent));
    };
    const auto outer = [](BareContext& of, Group& group, decltype(inner) run, decltype(outsider) other,
                          decltype(child) spawned) -> Task<> {
        WEIR_CO_CHECK(with_group<1>(of, run, std::ref(group), other, spawned));
    };
    const auto root = [](BareContext& of, decltype(outer) run, decltype(inner) in, decltype(outsider) other,
                         decltype(child) spawned) -> Task<> {
        WEIR_CO_CHECK(with_group<1>(of, run, in, other, spawned));
    };
    CHECK(context.run(root(context, outer, inner, outsider, child)));
    CHECK(refused);
    CHECK(context.idle());
}

TEST_CASE("slots are used again thousands of times") {
    BareContext context;
    const auto body = [](BareContext& of, Group& group, int& ended) -> Task<> {
        for (int i = 0; i < 5'000; ++i) {
            auto spawned = group.spawn(sleeps(of, (i % 3) * 1us, ended));
            while (!spawned) {
                CHECK(spawned.error() == Errc::no_group_slot);
                WEIR_CO_CHECK(weir::sleep_for(1us));
                spawned = group.spawn(sleeps(of, 0us, ended));
            }
        }
    };
    const auto root = [](BareContext& of, decltype(body) run) -> Task<> {
        int ended = 0;
        WEIR_CO_CHECK(with_group<3>(of, run, std::ref(ended)));
        CHECK(ended == 5'000);
    };
    CHECK(context.run(root(context, body)));
    CHECK(context.idle());
    CHECK(context.frames.cut_size() < 4'096);
}

TEST_CASE("a deadline around a group stops it, and is timed_out to the one who set it") {
    BareContext context;
    const auto body = [](BareContext& of, Group& group, int& ended) -> Task<> {
        WEIR_CO_CHECK(group.spawn(sleeps(of, 1h, ended)));
        WEIR_CO_CHECK(weir::sleep_for(2h));
    };
    const auto root = [](BareContext& of, decltype(body) run) -> Task<> {
        int ended = 0;
        const auto timed = co_await with_group<2>(of, run, std::ref(ended)).within(1s);
        CHECK(said(timed) == "timed out");
        CHECK(ended == 1);
    };
    CHECK(context.run(root(context, body)));
    CHECK(context.idle());
}

TEST_CASE(
    "a stopped group drops the children not started yet and is no error, and one under a stop is refused") {
    BareContext context;
    const auto body = [](BareContext& of, Group& group, int& ended) -> Task<> {
        WEIR_CO_CHECK(group.spawn(sleeps(of, 1h, ended)));
        of.stop();
    };
    const auto root = [](BareContext& of, decltype(body) run) -> Task<> {
        int ended = 0;
        const auto well = co_await with_group<2>(of, run, std::ref(ended));
        CHECK(said(well) == "value");
        const auto refused = co_await with_group<2>(of, run, std::ref(ended));
        CHECK(said(refused) == "cancelled");
        CHECK(ended == 0);
    };
    CHECK(context.run(root(context, body)));
    CHECK(context.idle());
}

TEST_CASE("urgent children run before normal ones, which are not starved") {
    BareContext context;
    const auto turns = [](BareContext&, int count, char name, std::string& order) -> Task<> {
        for (int i = 0; i < count; ++i) {
            order += name;
            WEIR_CO_CHECK(weir::yield());
        }
    };
    const auto body = [](BareContext& of, Group& group, decltype(turns) turn, std::string& order) -> Task<> {
        WEIR_CO_CHECK(group.spawn(turn(of, 3, 'n', order)));
        WEIR_CO_CHECK(group.spawn(turn(of, 100, 'u', order), Priority::urgent));
    };
    const auto root = [](BareContext& of, decltype(body) run, decltype(turns) turn,
                         std::string& order) -> Task<> {
        WEIR_CO_CHECK(with_group<2>(of, run, turn, std::ref(order)));
    };
    std::string order;
    CHECK(context.run(root(context, body, turns, order)));
    REQUIRE(order.size() == 103);
    CHECK(order[0] == 'u');
    CHECK(order.find('n') < 20);
    CHECK(order.rfind('n') < 60);
    CHECK(order.find("nn") == std::string::npos);
}

TEST_CASE("a spawned child first runs when the spawning task has suspended") {
    BareContext context;
    const auto child = [](BareContext&, std::string& order) -> Task<> {
        order += 'c';
        co_return;
    };
    const auto body = [](BareContext& of, Group& group, decltype(child) run, std::string& order) -> Task<> {
        WEIR_CO_CHECK(group.spawn(run(of, order)));
        order += 'b';
        WEIR_CO_CHECK(weir::yield());
        order += 'B';
    };
    const auto root = [](BareContext& of, decltype(body) run, decltype(child) of_child,
                         std::string& order) -> Task<> {
        WEIR_CO_CHECK(with_group<2>(of, run, of_child, std::ref(order)));
    };
    std::string order;
    CHECK(context.run(root(context, body, child, order)));
    CHECK(order == "bcB");
}
