// SPDX-License-Identifier: MIT
//
// Text only; who sends it, and to whom, is the detector's business.
#include "alarm_line.hpp"

#include "loop_time.hpp"

namespace leak {

namespace {

// 1973-03-03: no recording of the loop is older, no simulation runs for three years.
constexpr std::int64_t simulated_time_end_s = 100'000'000;

}  // namespace

BoundedText<24> loop_time_text(std::int64_t time_s) {
    if (time_s >= simulated_time_end_s) return format_datetime(time_s);
    BoundedText<24> text;
    text.append(time_s).append(" s");
    return text;
}

AlarmLine alarm_line(const JoinedSample& joined, const Verdict& verdict) {
    AlarmLine line;
    if (verdict.change == AlarmLogic::Change::none) return line;
    line.append(loop_time_text(joined.sample.time_s).view());
    line.append(verdict.change == AlarmLogic::Change::raised ? " alarm raised" : " alarm cleared");
    line.append(": T-squared ").append_fixed(verdict.statistic, 1);
    line.append(", threshold ").append_fixed(verdict.threshold, 1);
    line.append(", sample ").append(joined.sequence).append(" of recording ").append(joined.recording);
    line.append('\n');
    return line;
}

AlarmLine learned_line(const JoinedSample& joined, const DetectorModel& model) {
    AlarmLine line;
    line.append(loop_time_text(joined.sample.time_s).view());
    line.append(" learned ").append(learning_samples).append(" samples: threshold ");
    line.append_fixed(model.threshold(), 1).append(", ignored signals: ");
    const unsigned ignored = model.ignored_signals();
    if (ignored == 0) line.append("none");
    bool first = true;
    for (std::size_t i = 0; i < signals_count; ++i) {
        if ((ignored >> i & 1u) == 0) continue;
        if (!first) line.append(" and ");
        line.append(signal_names[i]);
        first = false;
    }
    line.append(", recording ").append(joined.recording).append('\n');
    return line;
}

}  // namespace leak
