// SPDX-License-Identifier: MIT
//
// A parser of recordings: text in chunks goes in, samples come out.
//
// A recording is `;`-separated text. Its first line names the columns: `datetime`, the eight signals (see
// signals.hpp) and, optionally, `anomaly` and `changepoint`; they are found by name, in any order, and
// unknown columns are accepted and ignored. Lines end in LF or CRLF; the last line may lack its end; a UTF-8
// byte order mark and empty lines at the very end are accepted. Every line has as many fields as the header.
// Numbers are finite decimals, by std::from_chars: no locale, no blanks, no leading `+`. Labels are 0 or 1.
//
// Time never goes back from one line to the next. It may stand still (two samples within one second) and it
// may jump (loggers miss seconds: real recordings have gaps of up to 5 s).
//
// The parser holds one line, of at most `line_bytes_max`; it never allocates. The first error is final, and
// its text begins with `FILE:LINE:COLUMN: NAME: `, where COLUMN counts fields from 1 and NAME is the column's
// name if the header gave it one: `recording.csv:17:5: Pressure: "abc" is not a number`. A missing column or
// field is reported at the place after the last one that is there.
#pragma once

#include "bounded_text.hpp"
#include "signals.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace leak {

class RecordingParser {
public:
    static constexpr std::size_t line_bytes_max = 4'096;
    static constexpr std::size_t columns_max = 64;
    static constexpr std::size_t name_bytes_max = 255;
    // A file's name, a column's name, foreign text of 32 characters shown as four each, and words about it.
    static constexpr std::size_t error_bytes_max = name_bytes_max + 128 + 32 * 4 + 256;

    enum class Step : std::uint8_t {
        sample,  // `sample` was written
        more,    // the chunk is used up
        end,     // the recording ended in good order (only from finish)
        failed,  // error() says why; so it stays
    };

    /// `file_name` is for messages; the parser keeps a copy, cut after `name_bytes_max`.
    explicit RecordingParser(std::string_view file_name);

    /// Takes bytes off the front of `chunk` until a sample is whole, the chunk is empty, or something is
    /// wrong.
    Step next(std::span<const char>& chunk, Sample& sample);

    /// To be called when there are no more bytes, until it gives `end` or `failed`: a last line without an
    /// end of line gives a sample.
    Step finish(Sample& sample);

    /// For those who read the bytes: an error of theirs, told at the place that the parser has come to.
    Step fail(std::string_view what);

    /// For those who need labels, once the first sample was given: `failed` if there is no column `anomaly`, told at
    /// the end of the header; else `sample`.
    Step require_labels();

    std::string_view error() const { return error_.view(); }
    std::uint64_t samples_count() const { return samples_count_; }

    /// Whether the header has the column `anomaly`. Known once the first sample was given.
    bool has_labels() const { return anomaly_column_ != no_column; }

private:
    static constexpr std::size_t no_column = columns_max;
    enum class Column : std::uint8_t { ignored, datetime, signal, anomaly, changepoint };

    Step take_line(Sample& sample);
    Step take_header(std::string_view line);
    Step take_header_field(std::string_view name, std::size_t column);
    Step take_sample(std::string_view line, Sample& sample);
    Step take_field(std::string_view text, std::size_t column, Sample& sample);
    Step take_time(std::string_view text, std::size_t column, Sample& sample);

    using Reason = BoundedText<error_bytes_max>;
    Step fail_at(std::uint64_t line, std::size_t column, const Reason& reason);
    std::string_view column_name(std::size_t column) const;

    BoundedText<name_bytes_max> file_name_;
    BoundedText<error_bytes_max> error_;

    std::array<char, line_bytes_max> line_{};
    std::size_t line_size_ = 0;
    std::uint64_t line_number_ = 1;       // of the line that is being put together
    std::uint64_t first_empty_line_ = 0;  // 0: none so far
    std::uint64_t samples_count_ = 0;
    std::int64_t last_time_s_ = 0;

    std::array<Column, columns_max> columns_{};
    std::array<std::uint8_t, columns_max> signal_of_column_{};
    std::array<std::size_t, signals_count> column_of_signal_{};
    std::size_t datetime_column_ = no_column;
    std::size_t anomaly_column_ = no_column;
    std::size_t changepoint_column_ = no_column;
    std::size_t columns_count_ = 0;  // 0: the header was not seen yet
    bool failed_ = false;
};

}  // namespace leak
