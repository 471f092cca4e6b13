// SPDX-License-Identifier: MIT
#include "alarm_line.hpp"

#include "support/catch.hpp"

using namespace leak;

TEST_CASE("a change of the alarm is a line") {
    Announcement announcement{.recording = 0,
                              .kind = Announcement::Kind::raised,
                              .sequence = 510,
                              .time_s = 1'583'077'955,
                              .statistic = 141.26,
                              .threshold = 59.5};
    CHECK(line_of(announcement).view() ==
          "2020-03-01 15:52:35 alarm raised: T-squared 141.3, threshold 59.5, sample 510 of recording 0\n");
    announcement = {.recording = 2,
                    .kind = Announcement::Kind::cleared,
                    .sequence = 9,
                    .time_s = 517,
                    .statistic = 141.26,
                    .threshold = 59.5};
    CHECK(line_of(announcement).view() ==
          "517 s alarm cleared: T-squared 141.3, threshold 59.5, sample 9 of recording 2\n");
}

TEST_CASE("the end of learning is a line that names ignored signals") {
    Announcement announcement{.recording = 1, .sequence = 399, .time_s = 399, .threshold = 60};
    CHECK(line_of(announcement).view() ==
          "399 s learned 400 samples: threshold 60.0, ignored signals: none, recording 1\n");
    announcement.ignored_signals = 1u << index_of(Signal::voltage) | 1u << index_of(Signal::pressure);
    CHECK(line_of(announcement).view() ==
          "399 s learned 400 samples: threshold 60.0, ignored signals: Pressure and Voltage, recording 1\n");
}

TEST_CASE("how things stand is a line, and what the queue had no room for is part of it") {
    Point point{.recording = 1, .sequence = 70};
    CHECK(state_line(point).view() == "state: learning, 71 of 400 samples, recording 1\n");
    point.phase = Phase::watching;
    point.statistic = 12.34;
    point.threshold = 60;
    CHECK(state_line(point).view() == "state: no alarm, T-squared 12.3, threshold 60.0, recording 1\n");
    point.alarm = true;
    point.unqueued_count = 2;
    CHECK(state_line(point).view() ==
          "state: alarm, T-squared 12.3, threshold 60.0, recording 1; the queue had no room for 2 "
          "announcements\n");
}

TEST_CASE("an announcement is known if it is not after the last one") {
    const Announcement last{.recording = 1, .sequence = 5};
    CHECK(!last.is_after(last));
    CHECK(Announcement{.recording = 1, .sequence = 6}.is_after(last));
    CHECK(!Announcement{.recording = 0, .sequence = 6}.is_after(last));
    CHECK(Announcement{.recording = 2, .sequence = 0}.is_after(last));
}
