// SPDX-License-Identifier: MIT
//
// The records that travel between the processes.
//
//   sensor -> acquisition (a pipe per signal)     Reading…, then StreamEnd or StreamFailure
//   acquisition -> detector, others (a topic)     JoinedSample…, RecordingEnd; Setting at any time
//   detector -> acquisition (a unix stream)       Resume, then Acknowledgement and TakenUpTo now and then; RecordingEnd
//   acquisition -> supervisor (a pipe)            Notice, Progress, Operation, StreamFailure
//   detector -> supervisor (a pipe)               Notice, Announcement, Figures
//   detector -> alarm server                      Announcement (a message queue), Point (a pipe)
//   alarm server -> supervisor (a pipe)           Notice
//   supervisor -> acquisition (a pipe)            Operation
//   supervisor -> alarm server (a pipe)           Announcement… (those so far), then ClientLimit; ClientLimit at any time
//
// A record is a header of eight bytes (length 2, kind 1, version 1, checksum 4) and a body of a width fixed
// by its kind; all fields are little endian, so records are the same between any two machines. The checksum
// is a CRC-32 of the header's first four bytes and the body. Whatever bytes arrive, decoding gives a record
// whose values are in range (finite doubles, known signals, known flags) or an error; after an error the
// stream has no meaning any more and is to be closed.
//
// Nothing is lost when a detector is killed: it saves its state after each sample and only then says that it has it,
// and the topic keeps what it has not. Its successor loads that state and finds in the topic all that was not saved; what
// it knows already it leaves out. Resume says which sample a detector wants next: that is where a new acquisition begins.
// A second Resume says that the topic does not have it any more, and acquisition starts over. After a recording's last
// sample comes RecordingEnd, and the detector answers with the same, once its Figures have left.
//
// Announcements and Figures may come twice, when a detector dies between telling and saving: their place says so.
#pragma once

#include "detector_model.hpp"
#include "detector_state.hpp"
#include "recording.hpp"
#include "signals.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>
#include <variant>

namespace leak {

/// What one sensor showed. Sequences count a stream's readings from 0, without gaps.
struct Reading {
    Signal signal = Signal::accelerometer_1;
    Labels labels;
    std::uint64_t sequence = 0;
    std::int64_t time_s = 0;
    double value = 0;

    friend bool operator==(const Reading&, const Reading&) = default;
};

/// The stream of `signal` ended in good order after `readings_count` readings.
struct StreamEnd {
    Signal signal = Signal::accelerometer_1;
    std::uint64_t readings_count = 0;

    friend bool operator==(const StreamEnd&, const StreamEnd&) = default;
};

/// The stream of `signal` cannot go on; the text says why (a parser's error, with file, line and column).
struct StreamFailure {
    static constexpr std::size_t text_bytes_max = 768;
    static_assert(text_bytes_max >= RecordingParser::error_bytes_max);

    Signal signal = Signal::accelerometer_1;
    BoundedText<text_bytes_max> text;

    friend bool operator==(const StreamFailure& left, const StreamFailure& right) {
        return left.signal == right.signal && left.text.view() == right.text.view();
    }
};

/// All signals at one time. Sequences count the samples of one recording from 0, without gaps.
struct JoinedSample {
    std::uint32_t recording = 0;
    std::uint64_t sequence = 0;
    Sample sample;
    std::uint8_t missing = 0;  // bit i: signal i was not there, its value is the one before

    friend bool operator==(const JoinedSample&, const JoinedSample&) = default;
};

/// The sample and all before it were judged, and the state that knows them is saved.
struct Acknowledgement {
    std::uint32_t recording = 0;
    std::uint32_t unqueued_count =
        0;  // announcements that the queue had no room for, in this detector's life
    std::uint64_t sequence = 0;
    std::int64_t time_s = 0;  // 0 where a successor repeats what it found in the state
    Verdict verdict;

    friend bool operator==(const Acknowledgement&, const Acknowledgement&) = default;
};

/// All records of this acquisition's topic before `position` are saved, or of no use to the detector any more.
struct TakenUpTo {
    std::uint64_t position = 0;

    friend bool operator==(const TakenUpTo&, const TakenUpTo&) = default;
};

/// A detector's first word on a new connection: the sample that it wants next. Without a saved state that is
/// sample 0 of recording 0, and `learned_before` is false.
struct Resume {
    StreamPlace place;
    bool learned_before = false;

    friend bool operator==(const Resume&, const Resume&) = default;
};

/// The operator's threshold, as a multiple of the learned percentile.
struct Setting {
    double factor = factor_default;

    friend bool operator==(const Setting&, const Setting&) = default;
};

/// The recording has no more samples; it had `samples_count`. The answer is the same record.
struct RecordingEnd {
    std::uint32_t recording = 0;
    std::uint64_t samples_count = 0;

    friend bool operator==(const RecordingEnd&, const RecordingEnd&) = default;
};

/// What a whole recording's verdicts were worth.
struct Figures {
    std::uint32_t recording = 0;
    std::uint64_t samples_count = 0;
    Counts counts;

    friend bool operator==(const Figures&, const Figures&) = default;
};

/// What clients are told of: the model has learned, an alarm was raised or cleared.
struct Announcement {
    enum class Kind : std::uint8_t { learned, raised, cleared };

    std::uint32_t recording = 0;
    Kind kind = Kind::learned;
    std::uint8_t ignored_signals = 0;  // of `learned`: bit i is set if signal i did not move
    std::uint64_t sequence = 0;
    std::int64_t time_s = 0;
    double statistic = 0;
    double threshold = 0;

    /// At most one sample of a recording has one, and they come in the order of their samples: what is not after the
    /// last one is known already.
    bool is_after(const Announcement& other) const {
        return recording != other.recording ? recording > other.recording : sequence > other.sequence;
    }

    friend bool operator==(const Announcement&, const Announcement&) = default;
};

/// A sample's verdict, for people who look at it. Where the reader is behind some are left out. The sample itself is in
/// the topic.
struct Point {
    std::uint32_t recording = 0;
    Phase phase = Phase::learning;
    bool alarm = false;
    std::uint32_t unqueued_count = 0;  // announcements that the queue had no room for
    std::uint64_t sequence = 0;
    std::int64_t time_s = 0;
    double statistic = 0;
    double threshold = 0;

    friend bool operator==(const Point&, const Point&) = default;
};

/// Something that people should read: one line, without its end.
struct Notice {
    static constexpr std::size_t text_bytes_max = 512;
    enum class Kind : std::uint8_t { event, trouble };

    Kind kind = Kind::event;
    BoundedText<text_bytes_max> text;

    friend bool operator==(const Notice& left, const Notice& right) {
        return left.kind == right.kind && left.text.view() == right.text.view();
    }
};

/// How far acquisition has come: the last sample that was acknowledged, and its verdict.
struct Progress {
    std::uint32_t recording = 0;
    bool paused = false;
    Phase phase = Phase::learning;
    bool alarm = false;
    std::uint64_t samples_count = 0;
    std::int64_t time_s = 0;
    double statistic = 0;
    double threshold = 0;

    friend bool operator==(const Progress&, const Progress&) = default;
};

/// How an operator wants acquisition to work. Acquisition tells it after each change, and the supervisor tells
/// it to a successor.
struct Operation {
    bool paused = false;
    double factor = 0;  // 0: the detector's own

    friend bool operator==(const Operation&, const Operation&) = default;
};

/// How many clients may read alarms at a time.
struct ClientLimit {
    std::uint32_t clients_max = 0;

    friend bool operator==(const ClientLimit&, const ClientLimit&) = default;
};

using Record = std::variant<Reading, StreamEnd, StreamFailure, JoinedSample, Acknowledgement, Resume, Setting,
                            RecordingEnd, Figures, Announcement, Notice, Progress, Operation, ClientLimit,
                            Point, TakenUpTo>;

inline constexpr std::size_t record_header_bytes = 8;
// signal 1, labels 1, reserved 6, sequence 8, time 8, value 8
inline constexpr std::size_t reading_bytes = record_header_bytes + 32;
// signal 1, reserved 7, readings 8
inline constexpr std::size_t stream_end_bytes = record_header_bytes + 16;
// signal 1, reserved 5, size 2, text
inline constexpr std::size_t stream_failure_bytes = record_header_bytes + 8 + StreamFailure::text_bytes_max;
// recording 4, labels 1, missing 1, reserved 2, sequence 8, time 8, values
inline constexpr std::size_t joined_sample_bytes = record_header_bytes + 24 + 8 * signals_count;
// recording 4, phase 1, anomaly 1, alarm 1, change 1, unqueued 4, reserved 4, sequence 8, time 8, statistic 8,
// threshold 8
inline constexpr std::size_t acknowledgement_bytes = record_header_bytes + 48;
// recording 4, learned before 1, reserved 3, next sequence 8
inline constexpr std::size_t resume_bytes = record_header_bytes + 16;
// factor 8
inline constexpr std::size_t setting_bytes = record_header_bytes + 8;

// recording 4, reserved 4, samples 8
inline constexpr std::size_t recording_end_bytes = record_header_bytes + 16;
// recording 4, reserved 4, samples 8, counts 4 x 8
inline constexpr std::size_t figures_bytes = record_header_bytes + 48;
// recording 4, kind 1, ignored 1, reserved 2, sequence 8, time 8, statistic 8, threshold 8
inline constexpr std::size_t announcement_bytes = record_header_bytes + 40;
// kind 1, reserved 5, size 2, text
inline constexpr std::size_t notice_bytes = record_header_bytes + 8 + Notice::text_bytes_max;
// recording 4, paused 1, phase 1, alarm 1, reserved 1, samples 8, time 8, statistic 8, threshold 8
inline constexpr std::size_t progress_bytes = record_header_bytes + 40;
// paused 1, reserved 7, factor 8
inline constexpr std::size_t operation_bytes = record_header_bytes + 16;
// clients 4, reserved 4
inline constexpr std::size_t client_limit_bytes = record_header_bytes + 8;
// recording 4, phase 1, alarm 1, reserved 2, unqueued 4, reserved 4, sequence 8, time 8, statistic 8, threshold 8
inline constexpr std::size_t point_bytes = record_header_bytes + 48;

// position 8
inline constexpr std::size_t taken_up_to_bytes = record_header_bytes + 8;

inline constexpr std::size_t record_bytes_max = std::max(
    {reading_bytes, stream_end_bytes, stream_failure_bytes, joined_sample_bytes, acknowledgement_bytes,
     resume_bytes, setting_bytes, recording_end_bytes, figures_bytes, announcement_bytes, notice_bytes,
     progress_bytes, operation_bytes, client_limit_bytes, point_bytes, taken_up_to_bytes});
static_assert(record_bytes_max <= 4'096,
              "a record written to a pipe in one call must arrive whole (PIPE_BUF)");

/// Writes a record to the front of `bytes`; gives its size, or 0 if it does not fit.
std::size_t encode(const Record& record, std::span<std::byte> bytes);

enum class Decoded : std::uint8_t {
    record,        // `record` and `size` were written
    incomplete,    // a longer span is needed; what is there is in order so far
    unknown_kind,  // also another version
    wrong_length,  // not the length of its kind
    wrong_checksum,
    impossible,  // the checksum is right, but a value is out of range
};

/// `a record's checksum is wrong` and so on.
std::string_view text_of(Decoded outcome);

/// Reads the record at the front of `bytes`; `size` is what it takes up.
Decoded decode(std::span<const std::byte> bytes, Record& record, std::size_t& size);

/// Cuts a stream of bytes into records. Read into room(), tell how much with filled(), then take next() until
/// it says `incomplete`. An error stays.
class RecordReader {
public:
    std::span<std::byte> room();
    void filled(std::size_t size);
    Decoded next(Record& record);

    /// Bytes of a record that is not whole: at the end of a stream there should be none.
    std::size_t rest() const { return end_ - begin_; }

private:
    std::array<std::byte, 4'096> bytes_{};
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    Decoded error_ = Decoded::incomplete;
    static_assert(std::tuple_size_v<decltype(bytes_)> >= 2 * record_bytes_max);
};

}  // namespace leak
