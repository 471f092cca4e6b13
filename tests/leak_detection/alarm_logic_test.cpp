// SPDX-License-Identifier: MIT
#include "alarm_logic.hpp"

#include "support/catch.hpp"

using namespace leak;
using Change = AlarmLogic::Change;

namespace {

/// Judges the same statistic until something changes; gives the number of samples that took, at most 1000.
std::uint32_t samples_until_change(AlarmLogic& logic, double statistic) {
    for (std::uint32_t count = 1; count <= 1'000; ++count) {
        if (logic.judge(statistic, 1.0) != Change::none) return count;
    }
    return 0;
}

}  // namespace

TEST_CASE("an alarm is raised by samples in a row above twice the threshold only") {
    AlarmLogic logic;
    CHECK(samples_until_change(logic, 2.0) == 0);
    for (std::uint32_t i = 1; i < AlarmLogic::confirm_samples; ++i)
        CHECK(logic.judge(2.1, 1.0) == Change::none);
    CHECK(logic.judge(1.9, 1.0) == Change::none);
    CHECK(samples_until_change(logic, 2.1) == AlarmLogic::confirm_samples);
    CHECK(logic.alarm());
}

TEST_CASE("an alarm is cleared by samples in a row at or below the threshold only") {
    AlarmLogic logic{{.alarm = true, .in_row = 0}};
    CHECK(samples_until_change(logic, 1.1) == 0);
    for (std::uint32_t i = 1; i < AlarmLogic::clear_samples; ++i)
        CHECK(logic.judge(1.0, 1.0) == Change::none);
    CHECK(logic.judge(1.1, 1.0) == Change::none);
    CHECK(samples_until_change(logic, 1.0) == AlarmLogic::clear_samples);
    CHECK(!logic.alarm());
}

TEST_CASE("a statistic that is all zeros, as its threshold is, raises nothing") {
    AlarmLogic logic;
    for (int i = 0; i < 100; ++i) CHECK(logic.judge(0, 0) == Change::none);
}
