// SPDX-License-Identifier: MIT
//
// The wall clock is really set while a program waits: only where the environment allows it, as on the emulated boards.
#include <weir/weir.hpp>

#include "support/skip.hpp"

#include "program.hpp"

#include <chrono>
#include <cstdlib>
#include <ctime>

using namespace std::chrono_literals;
using weir::Duration;
using weir::Errc;
using weir::Instant;
using weir::MonotonicClock;
using weir::Scheduler;
using weir::Task;
using weir::test::make_scheduler;

namespace {

/// What the wall clock would show, had nobody set it, is shown again at the end.
class WallClock {
public:
    WallClock() { ::clock_gettime(CLOCK_REALTIME, &began_); }
    WallClock(const WallClock&) = delete;
    WallClock& operator=(const WallClock&) = delete;
    ~WallClock() { std::ignore = jump(0s); }
    /// From the true time; false where that is denied.
    [[nodiscard]] bool jump(std::chrono::seconds by) const {
        const auto passed = std::chrono::duration_cast<std::chrono::seconds>(MonotonicClock::now() - since_);
        timespec shown = began_;
        shown.tv_sec += static_cast<time_t>((passed + by).count());
        return ::clock_settime(CLOCK_REALTIME, &shown) == 0;
    }

private:
    timespec began_{};
    Instant since_ = MonotonicClock::now();
};

// Hours to and fro, in each of the waits beside it.
Task<> jumps(Scheduler&, const WallClock& clock) {
    for (const auto by : {10h, -20h, 300h, -300h}) {
        WEIR_CO_CHECK(weir::sleep_for(20ms));
        CHECK(clock.jump(by));
    }
}
Task<> sleeps(Scheduler&, int& order, int place) {
    const Instant began = MonotonicClock::now();
    const Duration span = 60ms * (place + 1);
    WEIR_CO_CHECK(weir::sleep_for(span));
    CHECK(MonotonicClock::now() - began >= span);
    CHECK(order++ == place);
}
template <class Awaited>
Task<> is_late(Scheduler&, Awaited& awaited, weir::Bytes into) {
    const Instant began = MonotonicClock::now();
    const auto outcome = co_await awaited.read(into).within(150ms);
    CHECK(weir::test::said(outcome) == "timed out");
    CHECK(MonotonicClock::now() - began >= 150ms);
}
Task<> ticks(Scheduler& scheduler) {
    Instant next = scheduler.now();
    for (int i = 0; i < 20; ++i) {
        next = weir::after(next, 10ms);
        WEIR_CO_CHECK(weir::sleep_until(next));
        CHECK(MonotonicClock::now() >= next);
    }
}

Task<> waits(Scheduler& scheduler, const WallClock& clock) {
    WEIR_CO_TRY(auto pipe, weir::Pipe::create());
    std::array<std::byte, 1> byte;
    int order = 0;
    WEIR_CO_CHECK(weir::all_of(jumps(scheduler, clock), sleeps(scheduler, order, 0),
                               sleeps(scheduler, order, 1), sleeps(scheduler, order, 2), ticks(scheduler),
                               is_late(scheduler, pipe.reader, byte)));
    CHECK(order == 3);
}

}  // namespace

TEST_CASE("a wall clock that is really set changes no sleep, no deadline and no tick") {
    if (weir::test::on_simulated()) weir::test::skip("simulated time has no wall clock");
    if (std::getenv("WEIR_SET_WALL_CLOCK") == nullptr)
        weir::test::skip("WEIR_SET_WALL_CLOCK does not allow it");
    const WallClock clock;
    if (!clock.jump(0s)) weir::test::skip("the wall clock cannot be set here");
    const auto scheduler = make_scheduler();
    REQUIRE(scheduler->run(waits(*scheduler, clock)));
    weir::test::check_idle(*scheduler);
}
