// SPDX-License-Identifier: MIT
#include "alarm_line.hpp"

#include "support/catch.hpp"

using namespace leak;

TEST_CASE("a change of the alarm is a line, and no change is none") {
    const JoinedSample joined{.recording = 0, .sequence = 510, .sample = {1'583'077'955, {}, {}}};
    Verdict verdict{Phase::watching, true, true, AlarmLogic::Change::raised, 141.26, 59.5};
    CHECK(alarm_line(joined, verdict).view() ==
          "2020-03-01 15:52:35 alarm raised: T-squared 141.3, threshold 59.5, sample 510 of recording 0\n");
    verdict.change = AlarmLogic::Change::cleared;
    CHECK(alarm_line({.recording = 2, .sequence = 9, .sample = {517, {}, {}}}, verdict).view() ==
          "517 s alarm cleared: T-squared 141.3, threshold 59.5, sample 9 of recording 2\n");
    verdict.change = AlarmLogic::Change::none;
    CHECK(alarm_line(joined, verdict).empty());
}

TEST_CASE("the end of learning is a line that names ignored signals") {
    DetectorState state;
    state.samples_count = learning_samples;
    state.percentile = 20;
    state.deviation.fill(1);
    const JoinedSample joined{.recording = 1, .sequence = 399, .sample = {399, {}, {}}};
    CHECK(learned_line(joined, DetectorModel{state}).view() ==
          "399 s learned 400 samples: threshold 60.0, ignored signals: none, recording 1\n");
    state.deviation[index_of(Signal::voltage)] = 0;
    state.deviation[index_of(Signal::pressure)] = 0;
    CHECK(learned_line(joined, DetectorModel{state}).view() ==
          "399 s learned 400 samples: threshold 60.0, ignored signals: Pressure and Voltage, recording 1\n");
}
