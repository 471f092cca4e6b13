// SPDX-License-Identifier: MIT
//
// Text only; who sends it, and to whom, is the alarm server's business.
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

AlarmLine line_of(const Announcement& announcement) {
    AlarmLine line;
    line.append(loop_time_text(announcement.time_s).view());
    if (announcement.kind != Announcement::Kind::learned) {
        line.append(announcement.kind == Announcement::Kind::raised ? " alarm raised" : " alarm cleared");
        line.append(": T-squared ").append_fixed(announcement.statistic, 1);
        line.append(", threshold ").append_fixed(announcement.threshold, 1);
        line.append(", sample ").append(announcement.sequence);
        return line.append(" of recording ").append(announcement.recording).append('\n');
    }
    line.append(" learned ").append(learning_samples).append(" samples: threshold ");
    line.append_fixed(announcement.threshold, 1).append(", ignored signals: ");
    if (announcement.ignored_signals == 0) line.append("none");
    bool first = true;
    for (std::size_t i = 0; i < signals_count; ++i) {
        if ((unsigned{announcement.ignored_signals} >> i & 1u) == 0) continue;
        if (!first) line.append(" and ");
        line.append(signal_names[i]);
        first = false;
    }
    return line.append(", recording ").append(announcement.recording).append('\n');
}

AlarmLine state_line(const Point& point) {
    AlarmLine line{"state: "};
    if (point.phase == Phase::learning) {
        line.append("learning, ").append(point.sequence + 1).append(" of ");
        line.append(learning_samples).append(" samples");
    } else {
        line.append(point.alarm ? "alarm" : "no alarm")
            .append(", T-squared ")
            .append_fixed(point.statistic, 1);
        line.append(", threshold ").append_fixed(point.threshold, 1);
    }
    line.append(", recording ").append(point.recording);
    if (point.unqueued_count > 0)
        line.append("; the queue had no room for ").append(point.unqueued_count).append(" announcements");
    return line.append('\n');
}

}  // namespace leak
