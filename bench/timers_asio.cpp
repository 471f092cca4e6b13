// SPDX-License-Identifier: MIT
//
// bench_timers_asio: a million of Asio's waitable timers on a clock that is set by hand.
//
// The handlers are plain callbacks, the cheapest that Asio offers. It is built with ASIO_DISABLE_EPOLL:
// the timer queue is the same, but the epoll reactor looks at it only when a real timerfd expires,
// which knows nothing of this clock, while the select reactor looks each time it is polled.

#include "timers.hpp"

#include <utility>
#include <vector>

#include <asio/basic_waitable_timer.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>

namespace bench {

namespace {

struct HandClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<HandClock>;
    [[maybe_unused]] static constexpr bool is_steady = true;
    static time_point now() noexcept { return time; }
    static inline time_point time{};
};

using Timer =
    asio::basic_waitable_timer<HandClock, asio::wait_traits<HandClock>, asio::io_context::executor_type>;

class MillionTimers {
public:
    MillionTimers() {
        timers_.reserve(timer_count);  // a timer cannot move while it is armed
        for (std::size_t i = 0; i < timer_count; ++i) arm(timers_.emplace_back(context_));
    }

    Turns run(std::size_t steps) {
        Turns turns;
        for (std::size_t i = 0; i < steps; ++i) {
            turns.begin();
            HandClock::time += timer_step;
            const std::size_t to_cancel = std::exchange(fired_, 0);
            // From inside the loop, where it is cheaper: outside, each would wake the loop up.
            asio::post(context_, [this, to_cancel] {
                for (std::size_t n = 0; n < to_cancel; ++n) arm(timers_[load_.random_index()]);
            });
            context_.poll();
            turns.end(fired_ + to_cancel);
        }
        return turns;
    }

private:
    /// Cancels the timer if it is armed: `expires_after` does both.
    void arm(Timer& timer) {
        timer.expires_after(load_.random_delay());
        timer.async_wait([this, &timer](const asio::error_code& error) {
            if (error) return;  // cancelled, and armed again already
            ++fired_;
            arm(timer);
        });
    }

    static constexpr int one_thread = 1;

    asio::io_context context_{one_thread};
    std::vector<Timer> timers_;
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
