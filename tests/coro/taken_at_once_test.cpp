// SPDX-License-Identifier: MIT
//
// A description that can tell that it would complete at once is taken without a Wait, and means the same.
#include <weir/coro/deadline.hpp>
#include <weir/coro/join.hpp>
#include <weir/coro/sleep.hpp>
#include <weir/coro/wait_list.hpp>

#include "support/catch.hpp"
#include "support/said.hpp"

#include "bare_context.hpp"

#include <string>

using namespace std::chrono_literals;
using weir::Context;
using weir::Result;
using weir::Task;
using weir::test::BareContext;
using weir::test::said;

namespace {

/// Numbers that are put in and taken out.
struct Store {
    int count = 0;
    int next = 0;
    int waits_made = 0;
    int taken_at_once = 0;
    weir::WaitList waiters;

    void put() {
        ++count;
        if (!waiters.empty()) weir::first_waiter(waiters).grant();
    }
    int take() {
        --count;
        return next++;
    }
};

class [[nodiscard]] TakeNumber : public weir::Awaitable<TakeNumber> {
public:
    using Outcome = Result<int>;
    explicit TakeNumber(Store& store) noexcept : store_(&store) {}

    [[nodiscard]] bool ready_at_once() const noexcept { return store_->count > 0; }
    [[nodiscard]] Outcome take_at_once() const noexcept {
        ++store_->taken_at_once;
        return store_->take();
    }

    class Wait : public weir::Waiter {
    public:
        explicit Wait(TakeNumber&& description) noexcept : Waiter(kind), store_(*description.store_) {
            ++store_.waits_made;
        }
        bool start(const weir::Start& start) noexcept {
            if (store_.count > 0) return true;
            join(store_.waiters, start);
            return false;
        }
        Outcome take() noexcept {
            const auto waited = outcome();
            if (!waited) return weir::failure(waited.error());
            return store_.take();
        }

    private:
        static constexpr Kind kind{"take a number", nullptr};
        Store& store_;
    };

private:
    Store* store_;
};
static_assert(weir::TakenAtOnce<TakeNumber>);

Task<> takes_all(BareContext&, Store& store, int count) {
    for (int i = 0; i < count; ++i) {
        WEIR_CO_TRY(const int number, TakeNumber(store));
        CHECK(number == i);
    }
}
Task<> puts_later(BareContext&, Store& store, int count) {
    for (int i = 0; i < count; ++i) {
        WEIR_CO_CHECK(weir::sleep_for(1ms));
        store.put();
    }
}

}  // namespace

TEST_CASE("what is ready is taken without a wait and without suspending") {
    BareContext context;
    Store store;
    store.count = Context::credit_full - 1;
    CHECK(context.run(takes_all(context, store, store.count)));
    CHECK(store.waits_made == 0);
    CHECK(store.taken_at_once == Context::credit_full - 1);
    CHECK(context.items_run() <= 2);  // the task, and the root's end
}

TEST_CASE("what is not ready is waited for, like anything else") {
    BareContext context;
    Store store;
    const auto both = [](BareContext& of, Store& in) -> Task<> {
        WEIR_CO_CHECK(weir::all_of(takes_all(of, in, 10), puts_later(of, in, 10)));
    };
    CHECK(context.run(both(context, store)));
    CHECK(store.waits_made == 10);
    CHECK(store.taken_at_once == 0);
    CHECK(store.next == 10);
    CHECK(context.idle());
}

TEST_CASE("taking at once spends credit: a task that never waits lets others run") {
    BareContext context;
    Store store;
    constexpr int count = Context::credit_full * 10;
    store.count = count;
    const std::size_t before = context.items_run();
    CHECK(context.run(takes_all(context, store, count)));
    CHECK(context.items_run() - before >= 10);
    CHECK(store.taken_at_once + store.waits_made == count);
    CHECK(store.waits_made >= 9);  // only a Wait can be queued behind others
    CHECK(store.waits_made <= 11);
}

TEST_CASE("under a stop nothing is taken, ready or not") {
    BareContext context;
    Store store;
    store.count = 5;
    std::string ended;
    const auto stopped = [](BareContext& of, Store& in, std::string& end) -> Task<> {
        of.stop();
        const auto number = co_await TakeNumber(in);
        end = said(number);
    };
    CHECK(context.run(stopped(context, store, ended)));
    CHECK(ended == "cancelled");
    CHECK(store.count == 5);
    CHECK(store.taken_at_once == 0);
}

TEST_CASE("a named description may be awaited again, at once or not, and with a deadline") {
    BareContext context;
    Store store;
    const auto thrice = [](BareContext& of, Store& in) -> Task<> {
        const TakeNumber take(in);
        in.put();
        const auto at_once = co_await take;
        REQUIRE(at_once.has_value());
        CHECK(*at_once == 0);
        const auto late = co_await take.within(5ms);
        CHECK(said(late) == "timed out");
        in.put();
        const auto with_deadline = co_await take.within(0ms);
        REQUIRE(with_deadline.has_value());
        CHECK(*with_deadline == 1);
        WEIR_CO_TRY(const auto both, weir::all_of(take, puts_later(of, in, 1)));
        CHECK(std::get<0>(both) == 2);
    };
    CHECK(context.run(thrice(context, store)));
    CHECK(context.idle());
}
