// SPDX-License-Identifier: MIT
//
// Bytes are gathered until a line feed; then the whole line is looked at, field by field. The header fills a
// table from column to meaning, and each later line is read through that table. A line too long is refused
// at the first byte that does not fit, so its length never matters.
#include "recording.hpp"

#include "loop_time.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <system_error>

namespace leak {

namespace {

constexpr char separator = ';';
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

/// The fields of a line, one after the other; an empty line has one empty field.
class Fields {
public:
    explicit Fields(std::string_view line) : rest_(line) {}

    std::optional<std::string_view> next() {
        if (done_) return std::nullopt;
        const auto size = rest_.find(separator);
        const auto field = rest_.substr(0, size);
        done_ = size == std::string_view::npos;
        if (!done_) rest_.remove_prefix(size + 1);
        return field;
    }

private:
    std::string_view rest_;
    bool done_ = false;
};

std::size_t separators(std::string_view text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), separator));
}

}  // namespace

RecordingParser::RecordingParser(std::string_view file_name) : file_name_(file_name) {
    column_of_signal_.fill(no_column);
}

RecordingParser::Step RecordingParser::next(std::span<const char>& chunk, Sample& sample) {
    if (failed_) return Step::failed;
    while (!chunk.empty()) {
        const auto line_feed = std::find(chunk.begin(), chunk.end(), '\n');
        const auto size = static_cast<std::size_t>(line_feed - chunk.begin());
        const auto room = line_.size() - line_size_;
        std::copy_n(chunk.begin(), std::min(size, room),
                    line_.begin() + static_cast<std::ptrdiff_t>(line_size_));
        line_size_ += std::min(size, room);
        if (size > room) {
            Reason reason;
            reason.append("the line is longer than ").append(line_bytes_max).append(" bytes");
            return fail_at(line_number_, separators({line_.data(), line_size_}), reason);
        }
        if (line_feed == chunk.end()) {
            chunk = {};
            return Step::more;
        }
        chunk = chunk.subspan(size + 1);
        const Step step = take_line(sample);
        if (step != Step::more) return step;
    }
    return Step::more;
}

RecordingParser::Step RecordingParser::finish(Sample& sample) {
    if (failed_) return Step::failed;
    if (line_size_ > 0) {
        const Step step = take_line(sample);
        if (step != Step::more) return step;
    }
    if (columns_count_ == 0) {
        return fail_at(line_number_, 0,
                       Reason{"the file is empty, a line with the columns' names was expected"});
    }
    if (samples_count_ == 0) return fail_at(line_number_, 0, Reason{"no sample follows the header"});
    return Step::end;
}

RecordingParser::Step RecordingParser::fail(std::string_view what) {
    if (failed_) return Step::failed;
    return fail_at(line_number_, separators({line_.data(), line_size_}), Reason{what});
}

RecordingParser::Step RecordingParser::require_labels() {
    if (failed_) return Step::failed;
    if (has_labels()) return Step::sample;
    return fail_at(1, columns_count_, Reason{"missing from the header: anomaly, which scoring needs"});
}

RecordingParser::Step RecordingParser::take_line(Sample& sample) {
    std::string_view line{line_.data(), line_size_};
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line_number_ == 1 && line.starts_with(byte_order_mark)) line.remove_prefix(byte_order_mark.size());

    Step step = Step::more;
    if (const auto nul = line.find('\0'); nul != std::string_view::npos) {
        step =
            fail_at(line_number_, separators(line.substr(0, nul)), Reason{"there is a NUL byte in the text"});
    } else if (columns_count_ == 0) {
        step = take_header(line);
    } else if (line.empty()) {
        if (first_empty_line_ == 0) first_empty_line_ = line_number_;
    } else if (first_empty_line_ != 0) {
        step = fail_at(first_empty_line_, 0, Reason{"the line is empty, but others follow"});
    } else {
        step = take_sample(line, sample);
    }
    line_size_ = 0;
    ++line_number_;
    return step;
}

RecordingParser::Step RecordingParser::take_header(std::string_view line) {
    if (line.empty()) {
        return fail_at(1, 0, Reason{"the first line is empty, a line with the columns' names was expected"});
    }
    Fields fields{line};
    std::size_t count = 0;
    while (const auto name = fields.next()) {
        if (count == columns_max) {
            Reason reason;
            reason.append("there are more than ").append(columns_max).append(" columns");
            return fail_at(1, count, reason);
        }
        if (take_header_field(*name, count) == Step::failed) return Step::failed;
        ++count;
    }
    Reason missing;
    if (datetime_column_ == no_column) missing.append("datetime");
    for (std::size_t signal = 0; signal < signals_count; ++signal) {
        if (column_of_signal_[signal] != no_column) continue;
        if (!missing.empty()) missing.append(", ");
        missing.append(signal_names[signal]);
    }
    if (!missing.empty())
        return fail_at(1, count, Reason{"missing from the header: "}.append(missing.view()));
    columns_count_ = count;
    return Step::more;
}

RecordingParser::Step RecordingParser::take_header_field(std::string_view name, std::size_t column) {
    std::size_t* place = nullptr;
    if (name == "datetime") {
        columns_[column] = Column::datetime;
        place = &datetime_column_;
    } else if (name == "anomaly") {
        columns_[column] = Column::anomaly;
        place = &anomaly_column_;
    } else if (name == "changepoint") {
        columns_[column] = Column::changepoint;
        place = &changepoint_column_;
    } else if (const auto signal = signal_named(name)) {
        columns_[column] = Column::signal;
        signal_of_column_[column] = static_cast<std::uint8_t>(*signal);
        place = &column_of_signal_[index_of(*signal)];
    }
    if (place == nullptr) return Step::more;
    if (*place != no_column) {
        Reason reason;
        reason.append("the column appears twice, first as column ").append(*place + 1);
        return fail_at(1, column, reason);
    }
    *place = column;
    return Step::more;
}

RecordingParser::Step RecordingParser::take_sample(std::string_view line, Sample& sample) {
    Fields fields{line};
    Sample taken;
    std::size_t count = 0;
    while (const auto field = fields.next()) {
        if (count == columns_count_) {
            Reason reason;
            reason.append("the line has ")
                .append(separators(line) + 1)
                .append(" fields, but the header has ");
            reason.append(columns_count_);
            return fail_at(line_number_, count, reason);
        }
        if (take_field(*field, count, taken) == Step::failed) return Step::failed;
        ++count;
    }
    if (count < columns_count_) {
        Reason reason;
        reason.append("the line ends after ").append(count).append(" fields, but the header has ");
        reason.append(columns_count_);
        return fail_at(line_number_, count, reason);
    }
    last_time_s_ = taken.time_s;
    ++samples_count_;
    sample = taken;
    return Step::sample;
}

RecordingParser::Step RecordingParser::take_field(std::string_view text, std::size_t column, Sample& sample) {
    if (columns_[column] == Column::ignored) return Step::more;
    if (columns_[column] == Column::datetime) return take_time(text, column, sample);

    if (text.empty())
        return fail_at(line_number_, column, Reason{"the field is empty, a number was expected"});
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range) {
        return fail_at(line_number_, column, Reason{}.append_quoted(text).append(" is out of range"));
    }
    if (error != std::errc{} || end != text.data() + text.size()) {
        return fail_at(line_number_, column, Reason{}.append_quoted(text).append(" is not a number"));
    }
    if (!std::isfinite(value)) {
        return fail_at(line_number_, column, Reason{}.append_quoted(text).append(" is not a finite number"));
    }
    if (columns_[column] == Column::signal) {
        sample.values[signal_of_column_[column]] = value;
        return Step::more;
    }
    if (value != 0.0 && value != 1.0) {
        return fail_at(line_number_, column, Reason{}.append_quoted(text).append(" is neither 0 nor 1"));
    }
    (columns_[column] == Column::anomaly ? sample.labels.anomaly : sample.labels.changepoint) = value == 1.0;
    return Step::more;
}

RecordingParser::Step RecordingParser::take_time(std::string_view text, std::size_t column, Sample& sample) {
    const auto time_s = parse_datetime(text);
    if (!time_s) {
        Reason reason;
        reason.append_quoted(text).append(" is not a time, YYYY-MM-DD hh:mm:ss was expected");
        return fail_at(line_number_, column, reason);
    }
    if (samples_count_ > 0 && *time_s < last_time_s_) {
        Reason reason;
        reason.append("time goes back to ").append(text).append(" from ");
        reason.append(format_datetime(last_time_s_).view());
        return fail_at(line_number_, column, reason);
    }
    sample.time_s = *time_s;
    return Step::more;
}

std::string_view RecordingParser::column_name(std::size_t column) const {
    if (column >= columns_max) return {};
    switch (columns_[column]) {
        case Column::ignored: break;
        case Column::datetime: return "datetime";
        case Column::signal: return signal_names[signal_of_column_[column]];
        case Column::anomaly: return "anomaly";
        case Column::changepoint: return "changepoint";
    }
    return {};
}

RecordingParser::Step RecordingParser::fail_at(std::uint64_t line, std::size_t column, const Reason& reason) {
    failed_ = true;
    error_.clear();
    error_.append(file_name_.view()).append(':').append(line).append(':').append(column + 1).append(": ");
    if (const auto name = column_name(column); !name.empty()) error_.append(name).append(": ");
    error_.append(reason.view());
    return Step::failed;
}

}  // namespace leak
