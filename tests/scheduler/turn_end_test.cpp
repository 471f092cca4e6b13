// SPDX-License-Identifier: MIT
#include <weir/scheduler/turn_end.hpp>
#include <weir/weir.hpp>

#include "support/skip.hpp"

#include "program.hpp"

#include <vector>

using weir::Scheduler;
using weir::Task;
using weir::TurnEnd;
using weir::test::check_idle;
using weir::test::make_scheduler;
using weir::test::said;

namespace {

struct Noted : TurnEnd {
    explicit Noted(std::vector<int>& into) noexcept
        : TurnEnd([](TurnEnd& self) noexcept {
              auto& noted = static_cast<Noted&>(self);
              noted.events.push_back(-1);
          }),
          events(into) {}
    std::vector<int>& events;
};

Task<> numbers(Scheduler& scheduler, Noted& end, int first) {
    if (!end.linked()) scheduler.at_turn_end(end);
    end.events.push_back(first);
    WEIR_CO_CHECK(weir::yield());
    if (!end.linked()) scheduler.at_turn_end(end);
    end.events.push_back(first + 1);
}
Task<> numbers_twice(Scheduler& scheduler, Noted& end) {
    WEIR_CO_CHECK(weir::all_of(numbers(scheduler, end, 1), numbers(scheduler, end, 3)));
}
Task<> withdraws(Scheduler& scheduler, Noted& end) {
    scheduler.at_turn_end(end);
    end.unlink();
    WEIR_CO_CHECK(weir::yield());
}
Task<> waits_for(Scheduler&, weir::Event& event) {
    WEIR_CO_CHECK(event.wait());
}

}  // namespace

TEST_CASE("what is left for the end of a turn is done once, after all that ran in it") {
    const auto scheduler = make_scheduler();
    std::vector<int> events;
    Noted end(events);
    CHECK(scheduler->run(numbers_twice(*scheduler, end)));
    // However the tasks fall into turns: each number is followed by one end, at once or after others.
    REQUIRE(!events.empty());
    CHECK(events.back() == -1);
    int numbers_seen = 0;
    int ends_seen = 0;
    for (std::size_t i = 0; i < events.size(); ++i) {
        if (events[i] > 0) {
            ++numbers_seen;
            continue;
        }
        ++ends_seen;
        REQUIRE(i > 0);
        CHECK(events[i - 1] != -1);
    }
    CHECK(numbers_seen == 4);
    CHECK(ends_seen >= 1);
    CHECK(!end.linked());
    check_idle(*scheduler);
}

TEST_CASE("what was withdrawn before the turn ended is not done") {
    const auto scheduler = make_scheduler();
    std::vector<int> events;
    Noted end(events);
    CHECK(scheduler->run(withdraws(*scheduler, end)));
    CHECK(events.empty());
}

TEST_CASE("a foreign loop that left something for the end of a turn is told to run at once") {
    const auto scheduler = make_scheduler();
    std::vector<int> events;
    Noted end(events);
    weir::Event event;
    Scheduler::Root<void> root;
    REQUIRE(scheduler->begin(waits_for(*scheduler, event), root));
    CHECK(scheduler->run_ready().value_or(false));
    CHECK(scheduler->next_deadline() == weir::never);
    scheduler->at_turn_end(end);  // as a commit does that is made in the loop's own code
    CHECK(scheduler->next_deadline() <= scheduler->now());
    CHECK(events.empty());
    CHECK(scheduler->run_ready().value_or(false));
    CHECK(events == std::vector<int>{-1});
    CHECK(scheduler->next_deadline() == weir::never);
    event.set();
    while (scheduler->run_ready().value_or(false)) {}
    CHECK(said(*root.take()) == "value");
    check_idle(*scheduler);
}
