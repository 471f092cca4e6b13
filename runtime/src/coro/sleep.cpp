// SPDX-License-Identifier: MIT
#include "weir/coro/sleep.hpp"

namespace weir {

bool Sleep::Wait::start(const Start& start) noexcept {
    const Instant now = start.context.now();
    const Instant at = span_ == Duration::max() ? at_ : after(now, span_);
    if (at <= now) return true;
    begin(start);
    if (at != never) start.context.timers.arm(timer_, at, slack_);
    return false;
}

bool Ticker::Description::Wait::start(const Start& start) noexcept {
    context_ = &start.context;
    if (ticker_.start_ == never) ticker_.start_ = start.context.now();
    // `number_` periods have passed, so only the sum can be too large for the clock.
    const Duration span = ticker_.period_ * static_cast<std::int64_t>(ticker_.number_ + 1);
    sleep_.set_until(after(ticker_.start_, span));
    return sleep_.start(start);
}

Result<Tick> Ticker::Description::Wait::take() noexcept {
    const auto slept = sleep_.take();
    if (!slept) return failure(slept.error().code, "tick");
    const auto passed = static_cast<std::uint64_t>((context_->now() - ticker_.start_) / ticker_.period_);
    const Tick tick{.number = passed, .missed = passed - ticker_.number_ - 1};
    ticker_.number_ = passed;
    return tick;
}

}  // namespace weir
