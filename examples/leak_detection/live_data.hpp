// SPDX-License-Identifier: MIT
//
// What the live page shows: the last samples, points and announcements, and their form as server-sent events.
//
// Each viewer has a cursor and gets, one event at a time, a greeting, the announcements and points that are kept, and
// then what comes. Kept is a fixed number; a viewer that falls behind by more misses the oldest. Once a second there is
// a beat, which tells a page that the server lives when nothing else happens.
//
//   event: hello         data: {"learning":400,"signals":[{"name":"Current","unit":"A"},…]}
//   event: announcement  data: {"kind":"raised","recording":0,"sequence":518,"time":"518 s","statistic":…,"threshold":…,
//                               "ignored":["Pressure"]}
//   event: point         data: {"recording":0,"sequence":518,"time":"518 s","watching":true,"alarm":false,
//                               "statistic":…,"threshold":…,"values":[…]}      values: null where the sample was missed
//   event: beat          data: {"quiet_ms":40,"unqueued":0,"clients":2}      quiet_ms: since the last point, or null
#pragma once

#include "wire.hpp"

#include <weir/core/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace leak {

/// How far a viewer has come.
struct LiveCursor {
    bool greeted = false;
    std::uint64_t announcements = 0;
    std::uint64_t points = 0;
    std::uint64_t beats = 0;
};

class LiveData {
public:
    static constexpr std::size_t points_max = 600;  // ten minutes of loop time
    static constexpr std::size_t announcements_max = 32;
    using EventText = BoundedText<1'024>;

    /// Samples and points may come in any order.
    void add(const JoinedSample& joined);
    void add(const Point& point, weir::Instant now);
    void add(const Announcement& announcement);
    void beat(weir::Instant now, std::size_t clients_count);

    /// The next event for a viewer. False: it has all there is.
    bool next(LiveCursor& cursor, EventText& text) const;

    const std::optional<Point>& last_point() const { return last_point_; }

private:
    void append(EventText& text, const Point& point) const;
    static void append(EventText& text, const Announcement& announcement);

    struct Values {
        bool there = false;
        std::uint32_t recording = 0;
        std::uint64_t sequence = 0;
        SignalValues values{};
    };

    std::array<Values, points_max> values_{};  // by sequence
    std::array<Point, points_max> points_{};
    std::uint64_t points_count_ = 0;  // ever added
    std::array<Announcement, announcements_max> announcements_{};
    std::uint64_t announcements_count_ = 0;
    std::optional<Point> last_point_;
    weir::Instant last_point_at_{};
    std::uint64_t beats_count_ = 0;
    BoundedText<160> beat_;
};

}  // namespace leak
