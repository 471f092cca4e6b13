// SPDX-License-Identifier: MIT
#include <weir/scheduler/link_table.hpp>

#include "io/running.hpp"

#include <cerrno>

#include <sys/eventfd.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

struct Seen {
    std::uint64_t count = 0;
    long result = 0;
    int events = 0;
    int timers = 0;
    int freed = 0;
};
const LinkKind kind{
    .on_event =
        [](LinkSlot& slot, unsigned, long result) noexcept {
            Seen& seen = *slot.state<Seen*>();
            seen.result = result;
            seen.count = slot.counter();
            ++seen.events;
        },
    .on_timer = [](LinkSlot& slot) noexcept { ++slot.state<Seen*>()->timers; },
    .on_free = [](LinkSlot& slot) noexcept { ++slot.state<Seen*>()->freed; },
};

LinkSlot* taken(Scheduler& scheduler, Seen& seen) {
    LinkSlot* const slot = scheduler.links().take(kind);
    if (slot != nullptr) slot->make<Seen*>(&seen);
    return slot;
}
void ring(int fd) {
    const std::uint64_t one = 1;
    CHECK_IN_TASK(::write(fd, &one, sizeof(one)) == sizeof(one));
}

Task<> hear(Scheduler& scheduler) {
    Seen seen;
    LinkSlot* const slot = taken(scheduler, seen);
    slot->set_fd(0, Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
    for (int round = 1; round <= 3; ++round) {
        // What was rung while nobody listened is not lost either.
        if (round == 2) ring(slot->fd(0));
        CHECK_IN_TASK(slot->watch_counter(0) == 0);
        CHECK_IN_TASK(slot->watching(0));
        ring(slot->fd(0));
        while (seen.events < round) WEIR_CO_CHECK(yield());
        CHECK_IN_TASK(seen.result == 8);
        CHECK_IN_TASK(seen.count == (round == 2 ? 2U : 1U));
        CHECK_IN_TASK(!slot->watching(0));
    }
    slot->close();
}
TEST_CASE("an armed counter is heard once, and then not until it is armed again") {
    on_each_seed(hear);
}

Task<> leave_open(Scheduler& scheduler, Seen& seen) {
    LinkSlot* const slot = taken(scheduler, seen);
    slot->set_fd(0, Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
    slot->set_fd(2, Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
    CHECK_IN_TASK(slot->watch_counter(0) == 0);
    CHECK_IN_TASK(slot->watch_readable(2) == 0);
    slot->arm_timer(1h);
    CHECK_IN_TASK(scheduler.usage().links == 1);
    CHECK_IN_TASK(scheduler.usage().operations == 0);
    slot->close();
    slot->close();
    co_return;
}
TEST_CASE("what is closed last is free, and tells nothing, when the root task is over") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        Seen seen;
        running.must_run(leave_open(*running, seen));
        CHECK(running->usage().links == 0);
        CHECK(running->backend().in_flight() == 0);
        CHECK((seen.events == 0 && seen.timers == 0 && seen.freed == 1));
    });
}

Task<> wait_for_timer(Scheduler& scheduler) {
    Seen seen;
    LinkSlot* const slot = taken(scheduler, seen);
    slot->arm_timer(1h);
    slot->arm_timer(1ms);
    WEIR_CO_CHECK(sleep_for(2ms));
    CHECK_IN_TASK(seen.timers == 1);
    slot->close();
}
TEST_CASE("a slot's timer fires once, at the time set last") {
    on_each_seed(wait_for_timer);
}

Task<> take_all(Scheduler& scheduler) {
    Seen seen;
    const std::size_t limit = scheduler.budget().links;
    for (int round = 0; round < 3; ++round) {
        std::array<LinkSlot*, running_budget.links> slots{};
        for (LinkSlot*& slot : slots) {
            slot = taken(scheduler, seen);
            CHECK_IN_TASK(slot != nullptr);
            slot->set_fd(0, Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
            CHECK_IN_TASK(slot->watch_counter(0) == 0);
        }
        CHECK_IN_TASK(taken(scheduler, seen) == nullptr);
        CHECK_IN_TASK(scheduler.usage().links == limit);
        for (LinkSlot* const slot : slots) slot->close();
        while (scheduler.usage().links > 0) WEIR_CO_CHECK(yield());
    }
    CHECK_IN_TASK(scheduler.usage().links_peak == limit);
    CHECK_IN_TASK(scheduler.usage().descriptors == 0);
}
TEST_CASE("there are as many slots as the budget says, again and again") {
    on_each_seed(take_all);
}

TEST_CASE("a link takes little memory") {
    constexpr Budget with{.links = 10};
    constexpr Budget without{.links = 0};
    STATIC_REQUIRE((footprint(with) - footprint(without)) / 10 <= 688);
}

}  // namespace
