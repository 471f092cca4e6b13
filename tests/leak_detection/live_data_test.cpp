// SPDX-License-Identifier: MIT
#include "live_data.hpp"

#include "support/catch.hpp"

#include <string>
#include <vector>

using namespace leak;

namespace {

std::vector<std::string> told(const LiveData& data, LiveCursor& cursor) {
    std::vector<std::string> events;
    for (LiveData::EventText text; data.next(cursor, text);) events.emplace_back(text.view());
    return events;
}

weir::Instant at(std::int64_t ms) {
    return weir::Instant{} + std::chrono::milliseconds{ms};
}

}  // namespace

TEST_CASE("a viewer is greeted, told what was before, and then what comes") {
    static LiveData data;
    data.beat(at(500), 3);
    LiveCursor cursor;
    auto events = told(data, cursor);
    REQUIRE(events.size() == 2);
    CHECK(events[0].starts_with(
        "event: hello\ndata: {\"learning\":400,\"signals\":[{\"name\":\"Accelerometer1RMS\","));
    CHECK(events[1] == "event: beat\ndata: {\"quiet_ms\":null,\"unqueued\":0,\"clients\":3}\n\n");
    CHECK(told(data, cursor).empty());

    Point point{.recording = 1, .phase = Phase::watching, .alarm = true, .unqueued_count = 2, .sequence = 7};
    point.time_s = 518;
    point.statistic = 1.5;
    point.threshold = 64.71;
    data.add(point, at(1'000));
    data.add(JoinedSample{.recording = 1, .sequence = 7, .sample = {518, {1, 2, 3, 4, 5, 6, 7, -8.25}, {}}});
    data.add(
        Announcement{.recording = 1, .ignored_signals = 9, .sequence = 6, .time_s = 517, .threshold = 64.71});
    data.beat(at(1'250), 0);
    events = told(data, cursor);
    REQUIRE(events.size() == 3);
    CHECK(
        events[0] ==
        "event: announcement\ndata: {\"kind\":\"learned\",\"recording\":1,\"sequence\":6,\"time\":\"517 s\","
        "\"statistic\":0.0000,\"threshold\":64.7100,\"ignored\":[\"Accelerometer1RMS\",\"Pressure\"]}\n\n");
    CHECK(events[1] ==
          "event: point\ndata: {\"recording\":1,\"sequence\":7,\"time\":\"518 "
          "s\",\"watching\":true,\"alarm\":true,"
          "\"statistic\":1.5000,\"threshold\":64.7100,\"values\":[1.0000,2.0000,3.0000,4.0000,5.0000,6.0000,"
          "7.0000,"
          "-8.2500]}\n\n");
    CHECK(events[2] == "event: beat\ndata: {\"quiet_ms\":250,\"unqueued\":2,\"clients\":0}\n\n");
}

TEST_CASE("a viewer that cannot follow misses the oldest, and the largest values fit an event") {
    static LiveData data;
    Point point;
    point.statistic = point.threshold = 1.7e308;
    JoinedSample joined;
    joined.sample.values.fill(-1.2345678901234e14);
    point.time_s = 253'402'300'799;
    for (std::uint64_t i = 0; i < LiveData::points_max + 5; ++i) {
        point.sequence = i;
        data.add(point, at(0));
        joined.sequence = i;
        data.add(joined);
    }
    for (std::uint64_t i = 0; i < LiveData::announcements_max + 5; ++i) data.add(Announcement{.sequence = i});
    LiveCursor cursor;
    const auto events = told(data, cursor);
    REQUIRE(events.size() == 1 + LiveData::announcements_max + LiveData::points_max);
    CHECK(events[1].find("\"sequence\":5,") != std::string::npos);
    CHECK(events[1 + LiveData::announcements_max].find("\"sequence\":5,") != std::string::npos);
    CHECK(events.back().find("\"sequence\":604,") != std::string::npos);
    CHECK(events.back().ends_with("]}\n\n"));
}

TEST_CASE("a sample that was missed shows as nothing, and so does another recording's of its number") {
    static LiveData data;
    data.add(JoinedSample{.recording = 1, .sequence = 5, .sample = {5, {1, 1, 1, 1, 1, 1, 1, 1}, {}}});
    data.add(Point{.recording = 1, .sequence = 4}, at(0));
    data.add(Point{.recording = 2, .sequence = 5}, at(0));
    data.add(Point{.recording = 1, .sequence = 5}, at(0));
    LiveCursor cursor;
    const auto events = told(data, cursor);
    REQUIRE(events.size() == 4);
    const std::string nothing = "\"values\":[null,null,null,null,null,null,null,null]}\n\n";
    CHECK(events[1].ends_with(nothing));
    CHECK(events[2].ends_with(nothing));
    CHECK(events[3].ends_with("\"values\":[1.0000,1.0000,1.0000,1.0000,1.0000,1.0000,1.0000,1.0000]}\n\n"));
}
