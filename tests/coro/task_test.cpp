// SPDX-License-Identifier: MIT
#include <weir/coro/deadline.hpp>
#include <weir/coro/event.hpp>
#include <weir/coro/sleep.hpp>
#include <weir/coro/task.hpp>

#include "support/catch.hpp"

#include "bare_context.hpp"
#include "counted.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>

using namespace std::chrono_literals;
using weir::Errc;
using weir::FramePool;
using weir::Result;
using weir::Task;
using weir::test::BareContext;
using weir::test::Counted;

namespace {

Task<int> give(BareContext&, int number) {
    co_return number;
}
Task<int> give_later(BareContext&, int number) {
    WEIR_CO_CHECK(weir::yield());
    co_return number;
}
Task<> nothing(BareContext&) {
    co_return;
}
Task<> refuse(BareContext&) {
    co_return co_await weir::fail(Errc::denied, "refuse", 1, 2);
}
Task<std::string> refuse_text(BareContext&) {
    co_return co_await weir::fail(Errc::denied, "refuse", 1, 2);
}

Task<int> sum(BareContext& context) {
    WEIR_CO_TRY(const int first, give(context, 1));
    WEIR_CO_TRY(const int second, give_later(context, 2));
    WEIR_CO_CHECK(nothing(context));
    co_return first + second;
}

// The awaited type depends on the argument.
template <class Source>
Task<> take_both(BareContext& context, Source source, int& sum) {
    WEIR_CO_TRY(const int value, source(context));
    WEIR_CO_CHECK(source(context));
    sum += value;
}
Task<int> refuse_number(BareContext&) {
    co_return co_await weir::fail(Errc::denied, "refuse", 1, 2);
}

struct Pair {
    int left;
    int right;
};
Task<Pair> pair(BareContext&, int left) {
    co_return Pair{left, left + 1};
}
Task<Pair> pair_in_braces(BareContext&, int left) {
    co_return {left, left + 1};
}

Task<std::unique_ptr<int>> box(BareContext& context, std::unique_ptr<int> inside) {
    WEIR_CO_CHECK(weir::yield());
    WEIR_CO_TRY(const int more, give(context, 1));
    *inside += more;
    co_return inside;
}
Task<std::unique_ptr<int>> box_twice(BareContext& context) {
    WEIR_CO_TRY(auto once, box(context, std::make_unique<int>(1)));
    WEIR_CO_TRY(auto twice, box(context, std::move(once)));
    co_return twice;
}

}  // namespace

TEST_CASE("a task gives its value, whether or not it suspended") {
    BareContext context;
    const auto three = context.run(sum(context));
    REQUIRE(three);
    CHECK(*three == 3);
    CHECK(context.run(nothing(context)));
    const auto both = context.run(pair(context, 4));
    REQUIRE(both);
    CHECK(both->right == 5);
    const auto braces = context.run(pair_in_braces(context, 4));
    REQUIRE(braces);
    CHECK(braces->right == 5);
    CHECK(context.idle());
}

TEST_CASE("a move-only value passes through tasks") {
    BareContext context;
    const auto boxed = context.run(box_twice(context));
    REQUIRE(boxed);
    CHECK(**boxed == 3);
}

TEST_CASE("an error leaves a task of any type unchanged") {
    BareContext context;
    const auto plain = context.run(refuse(context));
    REQUIRE(!plain);
    CHECK(plain.error() == Errc::denied);
    const auto text = context.run(refuse_text(context));
    REQUIRE(!text);
    CHECK(std::string(text.error().operation) == "refuse");
    CHECK(text.error().a == 1);
    CHECK(text.error().b == 2);
    CHECK(context.idle());
}

namespace {

Task<std::string> checks(BareContext& context, bool& went_on) {
    WEIR_CO_CHECK(refuse(context));
    went_on = true;
    co_return "not reached";
}
Task<> tries(BareContext& context, bool& went_on) {
    WEIR_CO_TRY(auto text, refuse_text(context));
    went_on = text.empty();
}
Task<> tries_plain_result(BareContext&, Result<int> result, int& value) {
    WEIR_CO_TRY(value, result);
    WEIR_CO_CHECK(result);
    WEIR_CO_TRY(const int again, Result<int>(result));
    value += again;
}

}  // namespace

TEST_CASE("WEIR_CO_TRY and WEIR_CO_CHECK end the task with the error of what they await") {
    BareContext context;
    bool went_on = false;
    const auto checked = context.run(checks(context, went_on));
    REQUIRE(!checked);
    CHECK(checked.error().a == 1);
    const auto tried = context.run(tries(context, went_on));
    REQUIRE(!tried);
    CHECK(tried.error().a == 1);
    CHECK(!went_on);
}

TEST_CASE("WEIR_CO_TRY and WEIR_CO_CHECK serve in a task that is a template") {
    BareContext context;
    int total = 0;
    CHECK(context.run(take_both(context, sum, total)).has_value());
    CHECK(total == 3);
    const auto refused = context.run(take_both(context, refuse_number, total));
    REQUIRE(!refused.has_value());
    CHECK(refused.error() == Errc::denied);
    CHECK(total == 3);
}

TEST_CASE("WEIR_CO_TRY takes a result that is there already") {
    BareContext context;
    int value = 0;
    CHECK(context.run(tries_plain_result(context, 5, value)));
    CHECK(value == 10);
    const auto failed = context.run(tries_plain_result(context, weir::failure(Errc::busy, "x"), value));
    REQUIRE(!failed);
    CHECK(failed.error() == Errc::busy);
    CHECK(value == 10);
}

namespace {

Task<int> returns_result(BareContext&, Result<int> result) {
    co_return result;
}
Task<bool> returns_bool_result(BareContext&, Result<bool> result) {
    co_return result;
}
Task<int> returns_failure(BareContext&) {
    co_return weir::failure(Errc::refused, "x");
}
Task<bool> passes_bool_on(BareContext& context, Result<bool> result) {
    co_return co_await returns_bool_result(context, result);
}

}  // namespace

TEST_CASE("a task may return a whole result, of its value or of its error") {
    BareContext context;
    const auto five = context.run(returns_result(context, 5));
    REQUIRE(five);
    CHECK(*five == 5);
    const auto failed = context.run(returns_result(context, weir::failure(Errc::busy, "x")));
    REQUIRE(!failed);
    CHECK(failed.error() == Errc::busy);
    const auto refused = context.run(returns_failure(context));
    REQUIRE(!refused);
    CHECK(refused.error() == Errc::refused);
}

TEST_CASE("a result of bool that a task returns is that result, not whether it has a value") {
    BareContext context;
    const auto no = context.run(returns_bool_result(context, false));
    REQUIRE(no);
    CHECK(*no == false);
    const auto failed = context.run(passes_bool_on(context, weir::failure(Errc::busy, "x")));
    REQUIRE(!failed);
    CHECK(failed.error() == Errc::busy);
}

namespace {

Task<int> takes(BareContext&, Counted first, Counted second, int plus) {
    const Counted local(plus);
    co_return first.number + second.number + local.number;
}
Task<int> takes_and_waits(BareContext&, Counted first, Counted second, int plus) {
    const Counted local(plus);
    WEIR_CO_CHECK(weir::yield());
    co_return first.number + second.number + local.number;
}
Task<> drops(BareContext& context) {
    auto never_awaited = takes(context, Counted(1), Counted(2), 3);
    WEIR_CO_CHECK(weir::yield());
    auto moved = std::move(never_awaited);
    never_awaited = takes(context, Counted(4), Counted(5), 6);
    CHECK(Counted::live == 4);
    never_awaited = std::move(moved);
    CHECK(Counted::live == 2);
}
Task<int> awaits_temporaries(BareContext& context) {
    int total = 0;
    for (int i = 0; i < 50; ++i) {
        const auto plain = co_await takes(context, Counted(1), Counted(2), 3);
        const auto waited = co_await takes_and_waits(context, Counted(1), Counted(2), 3);
        const auto timed = co_await takes(context, Counted(1), Counted(2), 3).within(1s);
        const auto waited_timed = co_await takes_and_waits(context, Counted(1), Counted(2), 3).within(1s);
        const auto twice_timed =
            co_await takes_and_waits(context, Counted(1), Counted(2), 3).within(1s).within(2s);
        const auto by = co_await takes_and_waits(context, Counted(1), Counted(2), 3).by(context.now() + 1s);
        const auto shielded =
            co_await weir::shielded(1s, takes_and_waits(context, Counted(1), Counted(2), 3));
        WEIR_CO_TRY(const int tried, takes_and_waits(context, Counted(1), Counted(2), 3).within(1s));
        WEIR_CO_CHECK(takes_and_waits(context, Counted(1), Counted(2), 3).within(1s));
        total += *plain + *waited + *timed + *waited_timed + *twice_timed + *by + *shielded + tried;
    }
    co_return total;
}

void check_counted() {
    CHECK(Counted::live == 0);
    CHECK(Counted::copies == 0);
    CHECK(Counted::strays == 0);
}

}  // namespace

TEST_CASE("a task that is dropped without being started frees its parameters exactly once") {
    BareContext context;
    { const auto task = takes(context, Counted(1), Counted(2), 3); }
    check_counted();
    CHECK(context.run(drops(context)));
    check_counted();
    CHECK(context.idle());
    CHECK(context.tasks_started == 1);
}

TEST_CASE("parameters and locals of awaited temporaries are destroyed exactly once") {
    BareContext context;
    const auto total = context.run(awaits_temporaries(context));
    REQUIRE(total);
    CHECK(*total == 50 * 8 * 6);
    check_counted();
    CHECK(context.idle());
}

TEST_CASE("a hollow task frees its parameters exactly once and awaits as no_frame with both sizes") {
    BareContext context;
    context.frames.refuse_in(1);
    auto task = takes(context, Counted(1), Counted(2), 3);
    CHECK(task.hollow());
    check_counted();
    const auto result = context.run(std::move(task));
    REQUIRE(!result);
    CHECK(result.error() == Errc::no_frame);
    CHECK(result.error().a > 3 * sizeof(Counted));
    CHECK(result.error().b == context.frames.capacity());
}

namespace {

Task<> is_huge(BareContext&, int& depth) {
    std::array<std::byte, FramePool::size_max> huge{};
    asm volatile("" : : "r"(huge.data()) : "memory");
    WEIR_CO_CHECK(weir::yield());
    asm volatile("" : : "r"(huge.data()) : "memory");
    ++depth;
}

}  // namespace

TEST_CASE("a frame that no arena gives is too_large, with its size and the largest that there is") {
    BareContext context;
    int ran = 0;
    const auto result = context.run(is_huge(context, ran));
    REQUIRE(!result);
    CHECK(result.error() == Errc::too_large);
    CHECK(result.error().a > FramePool::size_max);
    CHECK(result.error().b == FramePool::size_max);
    CHECK(ran == 0);
}

namespace {

Task<> descend(BareContext& context, int depth, int& deepest) {
    deepest = depth;
    if (depth == 1'000) co_return;  // far beyond what the arena holds
    WEIR_CO_CHECK(descend(context, depth + 1, deepest));
}

}  // namespace

TEST_CASE("an exhausted pool is an error of the one who asks, and leaves nothing behind") {
    BareContext context(4 * 1024);
    int deepest = 0;
    for (int i = 0; i < 3; ++i) {
        const auto result = context.run(descend(context, 0, deepest));
        REQUIRE(!result);
        CHECK(result.error() == Errc::no_frame);
        CHECK(result.error().a > 4 * 1024);
        CHECK(result.error().b == 4 * 1024);
        CHECK(deepest > 3);
        CHECK(context.frames.live() == 0);
    }
}

TEST_CASE(
    "awaits nested beyond the stack's limit are an error of the one who asks, and leave nothing behind") {
    BareContext context;
    int deepest = 0;
    std::uint64_t depths[2] = {};
    for (std::size_t i = 0; i < 2; ++i) {
        const std::size_t limit = (i + 1) * 16 * 1024;
        context.set_stack_bytes(limit);
        const auto result = context.run(descend(context, 0, deepest));
        REQUIRE(!result);
        CHECK(result.error() == Errc::no_stack);
        CHECK(result.error().a > limit);
        CHECK(result.error().b == limit);
        CHECK(context.idle());
        depths[i] = static_cast<std::uint64_t>(deepest);
    }
    CHECK(depths[0] > 1);
    CHECK(depths[1] > depths[0]);
    // What takes no more of it goes on.
    CHECK(context.run(nothing(context)));
    context.set_stack_bytes(0);
    CHECK(context.run(descend(context, 1'000, deepest)));
}

namespace {

struct Service {
    int base;
    Task<int> plus(BareContext&, int number) {
        WEIR_CO_CHECK(weir::yield());
        co_return base + number;
    }
    Task<int> plus_const(BareContext& context, int number) const {
        WEIR_CO_TRY(const int given, give(context, number));
        co_return base + given;
    }
    static Task<int> constant(BareContext&) { co_return 7; }
};

Task<int> members_and_lambdas(BareContext& context) {
    Service service{10};
    const auto lambda = [](BareContext& inner, Counted counted) -> Task<int> {
        WEIR_CO_CHECK(weir::yield());
        WEIR_CO_TRY(const int given, give(inner, counted.number));
        co_return given;
    };
    WEIR_CO_TRY(const int first, service.plus(context, 1));
    WEIR_CO_TRY(const int second, service.plus_const(context, 2));
    WEIR_CO_TRY(const int third, Service::constant(context));
    WEIR_CO_TRY(const int fourth, lambda(context, Counted(100)));
    co_return first + second + third + fourth;
}

}  // namespace

TEST_CASE("member functions and captureless lambdas are tasks too") {
    BareContext context;
    const auto total = context.run(members_and_lambdas(context));
    REQUIRE(total);
    CHECK(*total == 11 + 12 + 7 + 100);
    check_counted();
}

namespace {

struct StackRange {
    std::uintptr_t lowest = UINTPTR_MAX;
    std::uintptr_t highest = 0;
};
Task<> note_stack(BareContext&, StackRange& range) {
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    range.lowest = std::min(range.lowest, here);
    range.highest = std::max(range.highest, here);
    co_return;
}
Task<> many_children(BareContext& context, int count, StackRange& range) {
    for (int i = 0; i < count; ++i) WEIR_CO_CHECK(note_stack(context, range));
    for (int i = 0; i < count; ++i) WEIR_CO_CHECK(note_stack(context, range).within(1s));
}

}  // namespace

TEST_CASE("ten thousand ready children awaited in a loop do not deepen the stack") {
    BareContext context;
    StackRange range;
    CHECK(context.run(many_children(context, 10'000, range)));
    CHECK(range.highest - range.lowest < 16 * 1024);
    CHECK(context.idle());
}

namespace {

Task<> sleeper(BareContext&, std::string& order, char name, weir::Duration span) {
    WEIR_CO_CHECK(weir::sleep_for(span));
    order += name;
}
Task<> parent_of_sleeper(BareContext& context, std::string& order) {
    WEIR_CO_CHECK(sleeper(context, order, 'a', 1ms));
    order += 'A';
    WEIR_CO_CHECK(sleeper(context, order, 'b', 0ms));
    order += 'B';
}

}  // namespace

TEST_CASE("a parent goes on after its child, and its frame is freed then") {
    BareContext context;
    std::string order;
    CHECK(context.run(parent_of_sleeper(context, order)));
    CHECK(order == "aAbB");
    CHECK(context.frames.live() == 0);
}

TEST_CASE("a task knows its function and its line") {
    BareContext context;
    auto task = give(context, 1);
    const auto handle = task.release();
    CHECK(std::string(handle.promise().function()) == "give");
    CHECK(handle.promise().line() > 0);
    CHECK(!handle.promise().started());
    handle.destroy();
}
