// SPDX-License-Identifier: MIT
//
// Fields are written and read in one order, in put_body and take_body, which mirror each other line by line.
#include "detector_state.hpp"

#include "little_endian.hpp"

#include <cerrno>
#include <cmath>

#include <unistd.h>

namespace leak {

namespace {

constexpr std::uint32_t magic = 0x6b61656cu;  // "leak"
constexpr std::uint16_t version = 2;

std::size_t image_bytes(std::uint64_t samples_count) {
    if (samples_count >= learning_samples) return image_bytes_watching;
    return image_bytes_watching + sizeof(SignalValues) * static_cast<std::size_t>(samples_count);
}

void put_values(ByteWriter& writer, const SignalValues& values) {
    for (const double value : values) writer.put(value);
}

void put_body(ByteWriter& writer, const DetectorState& state, const Progression& progression) {
    writer.put(progression.place.recording);
    writer.put(static_cast<std::uint8_t>(state.alarm.alarm));
    writer.put(static_cast<std::uint8_t>(state.last.phase));
    writer.put(static_cast<std::uint8_t>(state.last.anomaly));
    writer.put(static_cast<std::uint8_t>(state.last.alarm));
    writer.put(static_cast<std::uint8_t>(state.last.change));
    for (int reserved = 0; reserved < 3; ++reserved) writer.put(std::uint8_t{0});
    writer.put(state.alarm.in_row);
    writer.put(progression.place.next_sequence);
    writer.put(progression.counts.true_positives);
    writer.put(progression.counts.false_positives);
    writer.put(progression.counts.false_negatives);
    writer.put(progression.counts.true_negatives);
    writer.put(state.samples_count);
    writer.put(state.factor);
    writer.put(state.percentile);
    writer.put(state.last.statistic);
    writer.put(state.last.threshold);
    put_values(writer, state.smoothed);
    put_values(writer, state.mean);
    put_values(writer, state.deviation);
    for (const auto& row : state.factor_of_correlation) put_values(writer, row);
    if (state.phase() == Phase::watching) return;
    for (std::size_t k = 0; k < state.samples_count; ++k) put_values(writer, state.window[k]);
}

/// Reads fields and remembers whether all of them were possible.
class Body {
public:
    explicit Body(std::span<const std::byte> bytes) : reader_(bytes) {}

    bool take_flag() { return take_at_most(1) == 1; }

    std::uint8_t take_at_most(std::uint8_t largest) {
        const auto value = reader_.take<std::uint8_t>();
        possible_ = possible_ && value <= largest;
        return value;
    }

    template <class Integer>
    Integer take() {
        return reader_.take<Integer>();
    }

    double take_finite() {
        const double value = reader_.take_double();
        possible_ = possible_ && std::isfinite(value);
        return value;
    }

    double take_not_negative() {
        const double value = take_finite();
        possible_ = possible_ && value >= 0;
        return value;
    }

    void take_values(SignalValues& values) {
        for (double& value : values) value = take_finite();
    }

    void require(bool condition) { possible_ = possible_ && condition; }

    /// All bytes were there and used, and all values possible.
    bool whole() const { return possible_ && reader_.ok() && reader_.rest() == 0; }

private:
    ByteReader reader_;
    bool possible_ = true;
};

bool take_body(std::span<const std::byte> bytes, DetectorState& state, Progression& progression) {
    Body body{bytes};
    progression.place.recording = body.take<std::uint32_t>();
    state.alarm.alarm = body.take_flag();
    state.last.phase = static_cast<Phase>(body.take_at_most(1));
    state.last.anomaly = body.take_flag();
    state.last.alarm = body.take_flag();
    state.last.change = static_cast<AlarmLogic::Change>(body.take_at_most(2));
    for (int reserved = 0; reserved < 3; ++reserved) body.take_at_most(0);
    state.alarm.in_row = body.take<std::uint32_t>();
    progression.place.next_sequence = body.take<std::uint64_t>();
    progression.counts.true_positives = body.take<std::uint64_t>();
    progression.counts.false_positives = body.take<std::uint64_t>();
    progression.counts.false_negatives = body.take<std::uint64_t>();
    progression.counts.true_negatives = body.take<std::uint64_t>();
    state.samples_count = body.take<std::uint64_t>();
    state.factor = body.take_finite();
    state.percentile = body.take_not_negative();
    state.last.statistic = body.take_not_negative();
    state.last.threshold = body.take_not_negative();
    body.take_values(state.smoothed);
    body.take_values(state.mean);
    for (double& value : state.deviation) value = body.take_not_negative();
    for (auto& row : state.factor_of_correlation) body.take_values(row);

    body.require(state.factor > 0 && state.factor <= factor_max);
    body.require(state.alarm.in_row <
                 (state.alarm.alarm ? AlarmLogic::clear_samples : AlarmLogic::confirm_samples));
    if (state.phase() == Phase::watching) {
        for (std::size_t i = 0; i < signals_count; ++i) body.require(state.factor_of_correlation[i][i] > 0);
        return body.whole();
    }
    for (std::size_t k = 0; k < state.samples_count; ++k) body.take_values(state.window[k]);
    return body.whole();
}

/// Over the generation and the image's header, which holds the checksum of the rest: a slot whose generation
/// is new and whose image is old does not pass.
std::uint32_t slot_checksum(std::span<const std::byte> slot) {
    const auto image_header = slot.subspan(StateStore::slot_header_bytes, image_header_bytes);
    return checksum_of(image_header, checksum_of(slot.first(8)));
}

bool read_at(int fd, std::span<std::byte> bytes, std::size_t offset, std::size_t& size) {
    size = 0;
    while (size < bytes.size()) {
        const auto rest = bytes.subspan(size);
        const auto got = ::pread(fd, rest.data(), rest.size(), static_cast<off_t>(offset + size));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) return true;
        size += static_cast<std::size_t>(got);
    }
    return true;
}

bool write_at(int fd, std::span<const std::byte> bytes, std::size_t offset) {
    while (!bytes.empty()) {
        const auto put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        if (put == 0) {
            errno = EIO;
            return false;
        }
        bytes = bytes.subspan(static_cast<std::size_t>(put));
        offset += static_cast<std::size_t>(put);
    }
    return true;
}

}  // namespace

std::string_view text_of(StateError error) {
    switch (error) {
        case StateError::none: return "no error";
        case StateError::too_short: return "the image is too short";
        case StateError::not_an_image: return "this is not an image of a detector's state";
        case StateError::other_version: return "the image is of another version";
        case StateError::wrong_checksum: return "the image's checksum is wrong";
        case StateError::impossible: return "the image holds impossible values";
    }
    return "unknown error";
}

std::size_t encode_state(const DetectorState& state, const Progression& progression,
                         std::span<std::byte> bytes) {
    const std::size_t size = image_bytes(state.samples_count);
    if (bytes.size() < size) return 0;
    const auto body = bytes.subspan(image_header_bytes, size - image_header_bytes);
    ByteWriter body_writer{body};
    put_body(body_writer, state, progression);

    ByteWriter header{bytes.first(image_header_bytes)};
    header.put(magic);
    header.put(version);
    header.put(std::uint16_t{0});
    header.put(static_cast<std::uint32_t>(size));
    header.put(checksum_of(body));
    return body_writer.ok() && body_writer.size() == body.size() ? size : 0;
}

StateError decode_state(std::span<const std::byte> bytes, DetectorState& state, Progression& progression) {
    if (bytes.size() < image_header_bytes) return StateError::too_short;
    ByteReader header{bytes.first(image_header_bytes)};
    if (header.take<std::uint32_t>() != magic) return StateError::not_an_image;
    if (header.take<std::uint16_t>() != version) return StateError::other_version;
    if (header.take<std::uint16_t>() != 0) return StateError::impossible;
    const std::size_t size = header.take<std::uint32_t>();
    const auto checksum = header.take<std::uint32_t>();
    if (size < image_bytes_watching || size > image_bytes_max) return StateError::impossible;
    if (bytes.size() < size) return StateError::too_short;
    const auto body = bytes.subspan(image_header_bytes, size - image_header_bytes);
    if (checksum_of(body) != checksum) return StateError::wrong_checksum;

    DetectorState taken;
    Progression taken_progression;
    if (!take_body(body, taken, taken_progression)) return StateError::impossible;
    state = taken;
    progression = taken_progression;
    return StateError::none;
}

StateStore::Loaded StateStore::load_slot(std::size_t slot, DetectorState& state, Progression& progression) {
    std::size_t size = 0;
    if (!read_at(fd_, bytes_, slot * slot_bytes, size)) return Loaded::failed;
    const auto bytes = std::span<const std::byte>{bytes_}.first(size);
    if (size == 0) return Loaded::nothing;

    const auto note = [this](StateError error) {
        if (damage_ == StateError::none) damage_ = error;
        return Loaded::damaged;
    };
    if (size < slot_header_bytes) return note(StateError::too_short);
    ByteReader header{bytes.first(slot_header_bytes)};
    const auto generation = header.take<std::uint64_t>();
    // A slot that was never written, because a later one was, is a hole of zeros.
    if (generation == 0) return note(StateError::not_an_image);
    if (size < slot_header_bytes + image_header_bytes) return note(StateError::too_short);
    if (header.take<std::uint32_t>() != slot_checksum(bytes)) return note(StateError::wrong_checksum);
    if (generation % 2 != slot) return note(StateError::impossible);
    if (generation_ > generation) return Loaded::nothing;  // the other slot is newer
    const StateError error = decode_state(bytes.subspan(slot_header_bytes), state, progression);
    if (error != StateError::none) return note(error);
    generation_ = generation;
    return Loaded::state;
}

StateStore::Loaded StateStore::load(DetectorState& state, Progression& progression) {
    generation_ = 0;
    damage_ = StateError::none;
    const Loaded first = load_slot(0, state, progression);
    if (first == Loaded::failed) return first;
    const Loaded second = load_slot(1, state, progression);
    if (second == Loaded::failed) return second;
    if (first == Loaded::state || second == Loaded::state) return Loaded::state;
    return damage_ == StateError::none ? Loaded::nothing : Loaded::damaged;
}

bool StateStore::save(const DetectorState& state, const Progression& progression) {
    const std::uint64_t generation = generation_ + 1;
    const auto bytes = std::span<std::byte>{bytes_};
    const std::size_t size = encode_state(state, progression, bytes.subspan(slot_header_bytes));
    ByteWriter header{bytes.first(slot_header_bytes)};
    header.put(generation);
    header.put(slot_checksum(bytes));
    header.put(std::uint32_t{0});
    const std::size_t slot = generation % 2;
    if (!write_at(fd_, bytes.first(slot_header_bytes + size), slot * slot_bytes)) return false;
    generation_ = generation;
    return true;
}

}  // namespace leak
