// SPDX-License-Identifier: MIT
//
// Every kind has a put_body and a take_body that mirror each other. `Taken` reads fields and remembers
// whether any was out of range, so the bodies read like the layout in wire.hpp.
#include "wire_bodies.hpp"

#include <algorithm>
#include <cmath>

namespace leak {

namespace {

std::uint8_t bits_of(const Labels& labels) {
    return static_cast<std::uint8_t>((labels.anomaly ? 1u : 0u) | (labels.changepoint ? 2u : 0u));
}

void put_reserved(ByteWriter& writer, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) writer.put(std::uint8_t{0});
}

void put_body(ByteWriter& writer, const Reading& reading) {
    writer.put(static_cast<std::uint8_t>(reading.signal));
    writer.put(bits_of(reading.labels));
    put_reserved(writer, 6);
    writer.put(reading.sequence);
    writer.put(reading.time_s);
    writer.put(reading.value);
}

void put_body(ByteWriter& writer, const StreamEnd& end) {
    writer.put(static_cast<std::uint8_t>(end.signal));
    put_reserved(writer, 7);
    writer.put(end.readings_count);
}

void put_body(ByteWriter& writer, const StreamFailure& failure) {
    const std::string_view text = failure.text.view();
    writer.put(static_cast<std::uint8_t>(failure.signal));
    put_reserved(writer, 5);
    writer.put(static_cast<std::uint16_t>(text.size()));
    writer.put(std::as_bytes(std::span{text}));
    put_reserved(writer, StreamFailure::text_bytes_max - text.size());
}

void put_body(ByteWriter& writer, const JoinedSample& joined) {
    writer.put(joined.recording);
    writer.put(bits_of(joined.sample.labels));
    writer.put(joined.missing);
    put_reserved(writer, 2);
    writer.put(joined.sequence);
    writer.put(joined.sample.time_s);
    for (const double value : joined.sample.values) writer.put(value);
}

void put_body(ByteWriter& writer, const Acknowledgement& acknowledgement) {
    const Verdict& verdict = acknowledgement.verdict;
    writer.put(acknowledgement.recording);
    writer.put(static_cast<std::uint8_t>(verdict.phase));
    writer.put(static_cast<std::uint8_t>(verdict.anomaly));
    writer.put(static_cast<std::uint8_t>(verdict.alarm));
    writer.put(static_cast<std::uint8_t>(verdict.change));
    writer.put(acknowledgement.unqueued_count);
    put_reserved(writer, 4);
    writer.put(acknowledgement.sequence);
    writer.put(acknowledgement.time_s);
    writer.put(verdict.statistic);
    writer.put(verdict.threshold);
}

void put_body(ByteWriter& writer, const Resume& resume) {
    writer.put(resume.place.recording);
    writer.put(static_cast<std::uint8_t>(resume.learned_before));
    put_reserved(writer, 3);
    writer.put(resume.place.next_sequence);
}

void put_body(ByteWriter& writer, const Setting& setting) {
    writer.put(setting.factor);
}

void put_body(ByteWriter& writer, const RecordingEnd& end) {
    writer.put(end.recording);
    put_reserved(writer, 4);
    writer.put(end.samples_count);
}

void put_body(ByteWriter& writer, const Figures& figures) {
    writer.put(figures.recording);
    put_reserved(writer, 4);
    writer.put(figures.samples_count);
    writer.put(figures.counts.true_positives);
    writer.put(figures.counts.false_positives);
    writer.put(figures.counts.false_negatives);
    writer.put(figures.counts.true_negatives);
}

void put_body(ByteWriter& writer, const Announcement& announcement) {
    writer.put(announcement.recording);
    writer.put(static_cast<std::uint8_t>(announcement.kind));
    writer.put(announcement.ignored_signals);
    put_reserved(writer, 2);
    writer.put(announcement.sequence);
    writer.put(announcement.time_s);
    writer.put(announcement.statistic);
    writer.put(announcement.threshold);
}

void put_body(ByteWriter& writer, const Notice& notice) {
    const std::string_view text = notice.text.view();
    writer.put(static_cast<std::uint8_t>(notice.kind));
    put_reserved(writer, 5);
    writer.put(static_cast<std::uint16_t>(text.size()));
    writer.put(std::as_bytes(std::span{text}));
    put_reserved(writer, Notice::text_bytes_max - text.size());
}

void put_body(ByteWriter& writer, const Progress& progress) {
    writer.put(progress.recording);
    writer.put(static_cast<std::uint8_t>(progress.paused));
    writer.put(static_cast<std::uint8_t>(progress.phase));
    writer.put(static_cast<std::uint8_t>(progress.alarm));
    put_reserved(writer, 1);
    writer.put(progress.samples_count);
    writer.put(progress.time_s);
    writer.put(progress.statistic);
    writer.put(progress.threshold);
}

void put_body(ByteWriter& writer, const Operation& operation) {
    writer.put(static_cast<std::uint8_t>(operation.paused));
    put_reserved(writer, 7);
    writer.put(operation.factor);
}

void put_body(ByteWriter& writer, const ClientLimit& limit) {
    writer.put(limit.clients_max);
    put_reserved(writer, 4);
}

void put_body(ByteWriter& writer, const Point& point) {
    writer.put(point.recording);
    writer.put(static_cast<std::uint8_t>(point.phase));
    writer.put(static_cast<std::uint8_t>(point.alarm));
    put_reserved(writer, 2);
    writer.put(point.unqueued_count);
    put_reserved(writer, 4);
    writer.put(point.sequence);
    writer.put(point.time_s);
    writer.put(point.statistic);
    writer.put(point.threshold);
}

void put_body(ByteWriter& writer, const TakenUpTo& taken) {
    writer.put(taken.position);
}

class Taken {
public:
    explicit Taken(std::span<const std::byte> bytes) : reader_(bytes) {}

    std::uint8_t at_most(std::uint8_t largest) {
        const auto value = reader_.take<std::uint8_t>();
        possible_ = possible_ && value <= largest;
        return value;
    }

    bool flag() { return at_most(1) == 1; }
    Signal signal() { return static_cast<Signal>(at_most(signals_count - 1)); }

    Labels labels() {
        const auto bits = at_most(3);
        return {.anomaly = (bits & 1u) != 0, .changepoint = (bits & 2u) != 0};
    }

    void reserved(std::size_t size) {
        for (std::size_t i = 0; i < size; ++i) at_most(0);
    }

    template <class Integer>
    Integer integer() {
        return reader_.take<Integer>();
    }

    std::int64_t time() { return reader_.take_signed(); }

    double finite() {
        const double value = reader_.take_double();
        possible_ = possible_ && std::isfinite(value);
        return value;
    }

    std::string_view text(std::size_t size) {
        require(size <= reader_.rest());
        const auto bytes = reader_.take_bytes(std::min(size, reader_.rest()));
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

    void require(bool condition) { possible_ = possible_ && condition; }
    bool whole() const { return possible_ && reader_.ok() && reader_.rest() == 0; }

private:
    ByteReader reader_;
    bool possible_ = true;
};

void take_body(Taken& taken, Reading& reading) {
    reading.signal = taken.signal();
    reading.labels = taken.labels();
    taken.reserved(6);
    reading.sequence = taken.integer<std::uint64_t>();
    reading.time_s = taken.time();
    reading.value = taken.finite();
}

void take_body(Taken& taken, StreamEnd& end) {
    end.signal = taken.signal();
    taken.reserved(7);
    end.readings_count = taken.integer<std::uint64_t>();
}

void take_body(Taken& taken, StreamFailure& failure) {
    failure.signal = taken.signal();
    taken.reserved(5);
    const std::size_t size = taken.integer<std::uint16_t>();
    failure.text.append(taken.text(size));
    if (size <= StreamFailure::text_bytes_max) taken.reserved(StreamFailure::text_bytes_max - size);
}

void take_body(Taken& taken, JoinedSample& joined) {
    joined.recording = taken.integer<std::uint32_t>();
    joined.sample.labels = taken.labels();
    joined.missing = taken.integer<std::uint8_t>();
    taken.reserved(2);
    joined.sequence = taken.integer<std::uint64_t>();
    joined.sample.time_s = taken.time();
    for (double& value : joined.sample.values) value = taken.finite();
}

void take_body(Taken& taken, Acknowledgement& acknowledgement) {
    Verdict& verdict = acknowledgement.verdict;
    acknowledgement.recording = taken.integer<std::uint32_t>();
    verdict.phase = static_cast<Phase>(taken.at_most(1));
    verdict.anomaly = taken.flag();
    verdict.alarm = taken.flag();
    verdict.change = static_cast<AlarmLogic::Change>(taken.at_most(2));
    acknowledgement.unqueued_count = taken.integer<std::uint32_t>();
    taken.reserved(4);
    acknowledgement.sequence = taken.integer<std::uint64_t>();
    acknowledgement.time_s = taken.time();
    verdict.statistic = taken.finite();
    verdict.threshold = taken.finite();
}

void take_body(Taken& taken, Resume& resume) {
    resume.place.recording = taken.integer<std::uint32_t>();
    resume.learned_before = taken.flag();
    taken.reserved(3);
    resume.place.next_sequence = taken.integer<std::uint64_t>();
}

void take_body(Taken& taken, Setting& setting) {
    setting.factor = taken.finite();
    taken.require(setting.factor > 0 && setting.factor <= factor_max);
}

void take_body(Taken& taken, RecordingEnd& end) {
    end.recording = taken.integer<std::uint32_t>();
    taken.reserved(4);
    end.samples_count = taken.integer<std::uint64_t>();
}

void take_body(Taken& taken, Figures& figures) {
    figures.recording = taken.integer<std::uint32_t>();
    taken.reserved(4);
    figures.samples_count = taken.integer<std::uint64_t>();
    figures.counts.true_positives = taken.integer<std::uint64_t>();
    figures.counts.false_positives = taken.integer<std::uint64_t>();
    figures.counts.false_negatives = taken.integer<std::uint64_t>();
    figures.counts.true_negatives = taken.integer<std::uint64_t>();
}

void take_body(Taken& taken, Announcement& announcement) {
    announcement.recording = taken.integer<std::uint32_t>();
    announcement.kind = static_cast<Announcement::Kind>(taken.at_most(2));
    announcement.ignored_signals = taken.integer<std::uint8_t>();
    taken.reserved(2);
    announcement.sequence = taken.integer<std::uint64_t>();
    announcement.time_s = taken.time();
    announcement.statistic = taken.finite();
    announcement.threshold = taken.finite();
}

void take_body(Taken& taken, Notice& notice) {
    notice.kind = static_cast<Notice::Kind>(taken.at_most(1));
    taken.reserved(5);
    const std::size_t size = taken.integer<std::uint16_t>();
    notice.text.append(taken.text(size));
    if (size <= Notice::text_bytes_max) taken.reserved(Notice::text_bytes_max - size);
}

void take_body(Taken& taken, Progress& progress) {
    progress.recording = taken.integer<std::uint32_t>();
    progress.paused = taken.flag();
    progress.phase = static_cast<Phase>(taken.at_most(1));
    progress.alarm = taken.flag();
    taken.reserved(1);
    progress.samples_count = taken.integer<std::uint64_t>();
    progress.time_s = taken.time();
    progress.statistic = taken.finite();
    progress.threshold = taken.finite();
}

void take_body(Taken& taken, Operation& operation) {
    operation.paused = taken.flag();
    taken.reserved(7);
    operation.factor = taken.finite();
    taken.require(operation.factor >= 0 && operation.factor <= factor_max);
}

void take_body(Taken& taken, ClientLimit& limit) {
    limit.clients_max = taken.integer<std::uint32_t>();
    taken.reserved(4);
}

void take_body(Taken& taken, Point& point) {
    point.recording = taken.integer<std::uint32_t>();
    point.phase = static_cast<Phase>(taken.at_most(1));
    point.alarm = taken.flag();
    taken.reserved(2);
    point.unqueued_count = taken.integer<std::uint32_t>();
    taken.reserved(4);
    point.sequence = taken.integer<std::uint64_t>();
    point.time_s = taken.time();
    point.statistic = taken.finite();
    point.threshold = taken.finite();
}

void take_body(Taken& taken, TakenUpTo& taken_up_to) {
    taken_up_to.position = taken.integer<std::uint64_t>();
}

}  // namespace

void put_body(ByteWriter& writer, const Record& record) {
    std::visit([&writer](const auto& kind) { put_body(writer, kind); }, record);
}

bool take_body(std::span<const std::byte> bytes, Record& record) {
    Taken taken{bytes};
    std::visit([&taken](auto& empty) { take_body(taken, empty); }, record);
    return taken.whole();
}

}  // namespace leak
