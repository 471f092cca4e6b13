// SPDX-License-Identifier: MIT
//
// Dates by std::chrono's calendar types, which are pure arithmetic on day counts.
#include "loop_time.hpp"

#include <chrono>
#include <cstddef>

namespace leak {

namespace {

constexpr std::int64_t seconds_per_day = 86'400;
constexpr std::int64_t time_end_s = 253'402'300'800;  // 10000-01-01 00:00:00

std::optional<unsigned> digits(std::string_view text) {
    unsigned value = 0;
    for (const char character : text) {
        if (character < '0' || character > '9') return std::nullopt;
        value = value * 10 + static_cast<unsigned>(character - '0');
    }
    return value;
}

}  // namespace

std::optional<std::int64_t> parse_datetime(std::string_view text) {
    constexpr std::string_view pattern = "YYYY-MM-DD hh:mm:ss";
    if (text.size() != pattern.size()) return std::nullopt;
    for (const std::size_t index : {4u, 7u, 10u, 13u, 16u}) {
        if (text[index] != pattern[index]) return std::nullopt;
    }
    const auto year = digits(text.substr(0, 4));
    const auto month = digits(text.substr(5, 2));
    const auto day = digits(text.substr(8, 2));
    const auto hour = digits(text.substr(11, 2));
    const auto minute = digits(text.substr(14, 2));
    const auto second = digits(text.substr(17, 2));
    if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
    if (*year < 1970 || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;

    const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(*year)},
                                           std::chrono::month{*month}, std::chrono::day{*day}};
    if (!date.ok()) return std::nullopt;
    const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
    return days * seconds_per_day + *hour * 3'600 + *minute * 60 + *second;
}

BoundedText<24> format_datetime(std::int64_t time_s) {
    BoundedText<24> text;
    if (time_s < 0 || time_s >= time_end_s) {
        text.append(time_s);
        return text;
    }
    const std::chrono::sys_days day{std::chrono::days{static_cast<int>(time_s / seconds_per_day)}};
    const std::chrono::year_month_day date{day};
    const auto second_of_day = static_cast<unsigned>(time_s % seconds_per_day);
    text.append(static_cast<int>(date.year())).append('-');
    text.append_two_digits(static_cast<unsigned>(date.month())).append('-');
    text.append_two_digits(static_cast<unsigned>(date.day())).append(' ');
    text.append_two_digits(second_of_day / 3'600).append(':');
    text.append_two_digits(second_of_day / 60 % 60).append(':');
    text.append_two_digits(second_of_day % 60);
    return text;
}

}  // namespace leak
