// SPDX-License-Identifier: MIT
//
// bench_timers_weir: a million timers in the timer wheel that every scheduler has, with as many buckets as
// Budget::timer_slots allows.

#include "timers.hpp"

#include "weir/core/timer_wheel.hpp"

#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace bench {

namespace {

class MillionTimers {
public:
    MillionTimers() : storage_(weir::TimerWheel::storage_size(slots) / sizeof(std::uint64_t)) {
        wheel_.start(std::as_writable_bytes(std::span(storage_)), slots, now_);
        for (Timer& timer : timers()) {
            timer.owner = this;
            arm(timer);
        }
    }
    MillionTimers(const MillionTimers&) = delete;
    MillionTimers& operator=(const MillionTimers&) = delete;
    ~MillionTimers() {
        for (Timer& timer : timers()) wheel_.disarm(timer);
    }

    Turns run(std::size_t steps) {
        Turns turns;
        for (std::size_t i = 0; i < steps; ++i) {
            turns.begin();
            now_ += timer_step;
            const std::size_t to_cancel = std::exchange(fired_, 0);
            for (std::size_t n = 0; n < to_cancel; ++n) {
                Timer& timer = timers()[load_.random_index()];
                wheel_.disarm(timer);
                arm(timer);
            }
            wheel_.fire_due(now_, timer_count);
            turns.end(fired_ + to_cancel);
        }
        return turns;
    }

private:
    // With its owner a timer fills most of a cache line: one line is better than parts of two.
    struct alignas(64) Timer : weir::Timer {
        Timer() noexcept : weir::Timer(fire) {}
        static void fire(weir::Timer& timer) noexcept {
            auto& self = static_cast<Timer&>(timer);
            ++self.owner->fired_;
            self.owner->arm(self);
        }
        MillionTimers* owner = nullptr;
    };

    static constexpr std::size_t slots = weir::TimerWheel::slots_max;

    [[nodiscard]] std::span<Timer, timer_count> timers() noexcept {
        return std::span<Timer, timer_count>(timers_.get(), timer_count);
    }
    void arm(Timer& timer) noexcept { wheel_.arm(timer, now_ + load_.random_delay()); }

    std::vector<std::uint64_t> storage_;
    weir::TimerWheel wheel_;
    weir::Instant now_ = weir::instant_of_ns(1'000'000'000);
    std::unique_ptr<Timer[]> timers_ = std::make_unique<Timer[]>(timer_count);
    TimerLoad load_;
    std::size_t fired_ = 0;
};

Turns run(std::size_t steps) {
    return MillionTimers().run(steps);
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    return bench::timers_main(std::span(argv, static_cast<std::size_t>(argc)), bench::run);
}
