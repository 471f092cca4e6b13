// SPDX-License-Identifier: MIT
#include <weir/coro/group.hpp>
#include <weir/coro/join.hpp>
#include <weir/coro/sleep.hpp>

#include "support/catch.hpp"

#include "bare_context.hpp"

#include <vector>

using weir::Context;
using weir::Task;
using weir::test::BareContext;

namespace {

Task<> ready_child(BareContext&, int& count) {
    ++count;
    co_return;
}
Task<> never_suspends(BareContext& context, int rounds, int& count, int& most_at_once, int& since_switch) {
    for (int i = 0; i < rounds; ++i) {
        WEIR_CO_CHECK(ready_child(context, count));
        if (++since_switch > most_at_once) most_at_once = since_switch;
    }
}
Task<> watches(BareContext&, int turns, int& turns_had, int& since_switch) {
    for (int i = 0; i < turns; ++i) {
        since_switch = 0;
        ++turns_had;
        WEIR_CO_CHECK(weir::yield());
    }
}

}  // namespace

TEST_CASE("a task that never suspends lets others run after 64 completions") {
    BareContext context;
    int count = 0;
    int most_at_once = 0;
    int turns_had = 0;
    int since_switch = 0;
    const auto both = [](BareContext& inner, int& done, int& most, int& turns, int& since) -> Task<> {
        WEIR_CO_CHECK(weir::all_of(never_suspends(inner, 64 * 20, done, most, since),
                                   watches(inner, 20, turns, since)));
    };
    CHECK(context.run(both(context, count, most_at_once, turns_had, since_switch)));
    CHECK(count == 64 * 20);
    CHECK(turns_had == 20);
    CHECK(most_at_once <= Context::credit_full);
    CHECK(most_at_once >= Context::credit_full - 1);
}

TEST_CASE("a task that never suspends goes through the ready list once in 64 completions") {
    BareContext context;
    int count = 0;
    int most = 0;
    int since = 0;
    CHECK(context.run(never_suspends(context, 64 * 100, count, most, since)));
    CHECK(context.items_run() >= 100);
    CHECK(context.items_run() <= 105);
}

namespace {

Task<> nested(BareContext& context, int depth, int& count) {
    if (depth == 0) {
        int most = 0;
        int since = 0;
        WEIR_CO_CHECK(never_suspends(context, 640, count, most, since));
        co_return;
    }
    WEIR_CO_CHECK(nested(context, depth - 1, count));
}

}  // namespace

TEST_CASE("credit is spent together by a task and the children it awaits") {
    BareContext context;
    int count = 0;
    CHECK(context.run(nested(context, 20, count)));
    CHECK(count == 640);
    CHECK(context.items_run() >= 10);
    CHECK(context.idle());
}
