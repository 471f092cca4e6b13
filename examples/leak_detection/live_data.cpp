// SPDX-License-Identifier: MIT
//
// Events are JSON made of numbers and of texts that are ours alone, so nothing needs escaping here.
#include "live_data.hpp"

#include "alarm_line.hpp"

#include <algorithm>
#include <chrono>

namespace leak {

namespace {

constexpr int decimals = 4;

/// The oldest that is kept, or the one that the cursor stands at.
std::uint64_t reached(std::uint64_t cursor, std::uint64_t count, std::uint64_t kept_max) {
    return std::max(cursor, count - std::min(count, kept_max));
}

/// Where the one that was added after `count` others is kept.
std::size_t place(std::uint64_t count, std::size_t kept_max) {
    return static_cast<std::size_t>(count % kept_max);
}

}  // namespace

void LiveData::add(const JoinedSample& joined) {
    values_[place(joined.sequence, points_max)] = {.there = true,
                                                   .recording = joined.recording,
                                                   .sequence = joined.sequence,
                                                   .values = joined.sample.values};
}

void LiveData::add(const Point& point, weir::Instant now) {
    points_[place(points_count_++, points_max)] = point;
    last_point_ = point;
    last_point_at_ = now;
}

void LiveData::add(const Announcement& announcement) {
    announcements_[place(announcements_count_++, announcements_max)] = announcement;
}

void LiveData::beat(weir::Instant now, std::size_t clients_count) {
    ++beats_count_;
    beat_.clear();
    beat_.append("event: beat\ndata: {\"quiet_ms\":");
    if (last_point_) {
        beat_.append(std::chrono::duration_cast<std::chrono::milliseconds>(now - last_point_at_).count());
    } else {
        beat_.append("null");
    }
    beat_.append(",\"unqueued\":").append(last_point_ ? last_point_->unqueued_count : 0);
    beat_.append(",\"clients\":").append(clients_count).append("}\n\n");
}

void LiveData::append(EventText& text, const Point& point) const {
    text.append("event: point\ndata: {\"recording\":").append(point.recording);
    text.append(",\"sequence\":").append(point.sequence);
    text.append(",\"time\":\"").append(loop_time_text(point.time_s).view());
    text.append("\",\"watching\":").append(point.phase == Phase::watching ? "true" : "false");
    text.append(",\"alarm\":").append(point.alarm ? "true" : "false");
    text.append(",\"statistic\":").append_fixed(point.statistic, decimals);
    text.append(",\"threshold\":").append_fixed(point.threshold, decimals).append(",\"values\":[");
    const Values& sample = values_[place(point.sequence, points_max)];
    const bool there =
        sample.there && sample.recording == point.recording && sample.sequence == point.sequence;
    for (std::size_t i = 0; i < signals_count; ++i) {
        if (i > 0) text.append(',');
        there ? text.append_fixed(sample.values[i], decimals) : text.append("null");
    }
    text.append("]}\n\n");
}

void LiveData::append(EventText& text, const Announcement& announcement) {
    constexpr std::array<std::string_view, 3> kinds{"learned", "raised", "cleared"};
    text.append("event: announcement\ndata: {\"kind\":\"");
    text.append(kinds[static_cast<std::size_t>(announcement.kind)]);
    text.append("\",\"recording\":").append(announcement.recording);
    text.append(",\"sequence\":").append(announcement.sequence);
    text.append(",\"time\":\"").append(loop_time_text(announcement.time_s).view());
    text.append("\",\"statistic\":").append_fixed(announcement.statistic, decimals);
    text.append(",\"threshold\":").append_fixed(announcement.threshold, decimals).append(",\"ignored\":[");
    bool first = true;
    for (std::size_t i = 0; i < signals_count; ++i) {
        if ((unsigned{announcement.ignored_signals} >> i & 1u) == 0) continue;
        text.append(first ? "\"" : ",\"").append(signal_names[i]).append('"');
        first = false;
    }
    text.append("]}\n\n");
}

bool LiveData::next(LiveCursor& cursor, EventText& text) const {
    text.clear();
    if (!cursor.greeted) {
        cursor.greeted = true;
        text.append("event: hello\ndata: {\"learning\":").append(learning_samples).append(",\"signals\":[");
        for (std::size_t i = 0; i < signals_count; ++i) {
            text.append(i > 0 ? ",{\"name\":\"" : "{\"name\":\"").append(signal_names[i]);
            text.append("\",\"unit\":\"").append(signal_units[i]).append("\"}");
        }
        text.append("]}\n\n");
        return true;
    }
    cursor.announcements = reached(cursor.announcements, announcements_count_, announcements_max);
    if (cursor.announcements < announcements_count_) {
        append(text, announcements_[place(cursor.announcements++, announcements_max)]);
        return true;
    }
    cursor.points = reached(cursor.points, points_count_, points_max);
    if (cursor.points < points_count_) {
        append(text, points_[place(cursor.points++, points_max)]);
        return true;
    }
    if (cursor.beats == beats_count_) return false;
    cursor.beats = beats_count_;
    text.append(beat_.view());
    return true;
}

}  // namespace leak
