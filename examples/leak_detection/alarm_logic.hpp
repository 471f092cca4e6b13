// SPDX-License-Identifier: MIT
//
// From noisy verdicts on single samples to alarms that an operator can trust.
//
// The rule, in samples that were judged:
//   normal -> alarm   when `confirm_samples` samples in a row were above `raise_multiple` thresholds;
//   alarm  -> normal  when `clear_samples` samples in a row were at or below the threshold itself.
// A single outlier therefore rings nothing, and a statistic that hovers about the threshold does not make the
// alarm flap. Why twice the threshold: 400 samples of signals that wander slowly hold only a few dozen
// independent ones, so the learned covariance is a little too small for what comes later, and a healthy loop
// now and then wanders past the threshold for some seconds. A leak goes far past it: there the two levels are
// about two seconds apart. 10 s of confirmation cost little beside the 30 s in which an alarm is due.
#pragma once

#include <cstdint>

namespace leak {

class AlarmLogic {
public:
    static constexpr std::uint32_t confirm_samples = 10;
    static constexpr std::uint32_t clear_samples = 30;
    static constexpr double raise_multiple = 2.0;

    enum class Change : std::uint8_t { none, raised, cleared };

    /// The whole state; `in_row` counts the samples that speak for a change.
    struct State {
        bool alarm = false;
        std::uint32_t in_row = 0;

        friend bool operator==(const State&, const State&) = default;
    };

    AlarmLogic() = default;
    explicit AlarmLogic(const State& state) : state_(state) {}

    Change judge(double statistic, double threshold) {
        const bool speaks_for_change =
            state_.alarm ? statistic <= threshold : statistic > raise_multiple * threshold;
        state_.in_row = speaks_for_change ? state_.in_row + 1 : 0;
        if (state_.in_row < (state_.alarm ? clear_samples : confirm_samples)) return Change::none;
        state_ = {.alarm = !state_.alarm, .in_row = 0};
        return state_.alarm ? Change::raised : Change::cleared;
    }

    bool alarm() const { return state_.alarm; }
    const State& state() const { return state_; }

private:
    State state_;
};

}  // namespace leak
