// SPDX-License-Identifier: MIT
//
// Headers and checksums; the fields are in wire_bodies.
#include "wire.hpp"

#include "little_endian.hpp"
#include "wire_bodies.hpp"

#include <cstring>

namespace leak {

namespace {

constexpr std::uint8_t wire_version = 1;

// A record's kind is its place in the variant plus one: 0 stays unused, so that zeros are no record.
constexpr std::array<std::size_t, std::variant_size_v<Record>> sizes_by_kind{
    reading_bytes,         stream_end_bytes,   stream_failure_bytes, joined_sample_bytes,
    acknowledgement_bytes, resume_bytes,       setting_bytes,        recording_end_bytes,
    figures_bytes,         announcement_bytes, notice_bytes,         progress_bytes,
    operation_bytes,       client_limit_bytes, point_bytes,          taken_up_to_bytes,
};

/// Makes `record` an empty record of the `index`-th kind.
template <std::size_t Index = 0>
void become(Record& record, std::size_t index) {
    if constexpr (Index < std::variant_size_v<Record>) {
        if (Index == index) {
            record.emplace<Index>();
        } else {
            become<Index + 1>(record, index);
        }
    }
}

std::uint32_t record_checksum(std::span<const std::byte> record) {
    return checksum_of(record.subspan(record_header_bytes), checksum_of(record.first(4)));
}

}  // namespace

std::string_view text_of(Decoded outcome) {
    switch (outcome) {
        case Decoded::record: return "a whole record";
        case Decoded::incomplete: return "a record is incomplete";
        case Decoded::unknown_kind: return "a record is of an unknown kind or version";
        case Decoded::wrong_length: return "a record's length is wrong for its kind";
        case Decoded::wrong_checksum: return "a record's checksum is wrong";
        case Decoded::impossible: return "a record holds impossible values";
    }
    return "unknown outcome";
}

std::size_t encode(const Record& record, std::span<std::byte> bytes) {
    const std::size_t size = sizes_by_kind[record.index()];
    if (bytes.size() < size) return 0;
    ByteWriter body{bytes.subspan(record_header_bytes, size - record_header_bytes)};
    put_body(body, record);

    ByteWriter header{bytes.first(record_header_bytes)};
    header.put(static_cast<std::uint16_t>(size));
    header.put(static_cast<std::uint8_t>(record.index() + 1));
    header.put(wire_version);
    header.put(record_checksum(bytes.first(size)));
    return body.ok() && header.ok() ? size : 0;
}

Decoded decode(std::span<const std::byte> bytes, Record& record, std::size_t& size) {
    if (bytes.size() < record_header_bytes) return Decoded::incomplete;
    ByteReader header{bytes.first(record_header_bytes)};
    const std::size_t length = header.take<std::uint16_t>();
    const std::size_t kind = header.take<std::uint8_t>();
    const auto version = header.take<std::uint8_t>();
    const auto checksum = header.take<std::uint32_t>();
    if (kind == 0 || kind > sizes_by_kind.size() || version != wire_version) return Decoded::unknown_kind;
    if (length != sizes_by_kind[kind - 1]) return Decoded::wrong_length;
    if (bytes.size() < length) return Decoded::incomplete;
    if (record_checksum(bytes.first(length)) != checksum) return Decoded::wrong_checksum;

    Record taken_record;
    become(taken_record, kind - 1);
    const auto body = bytes.subspan(record_header_bytes, length - record_header_bytes);
    if (!take_body(body, taken_record)) return Decoded::impossible;
    record = taken_record;
    size = length;
    return Decoded::record;
}

std::span<std::byte> RecordReader::room() {
    if (begin_ > 0) {
        std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    return std::span{bytes_}.subspan(end_);
}

void RecordReader::filled(std::size_t size) {
    end_ += std::min(size, bytes_.size() - end_);
}

Decoded RecordReader::next(Record& record) {
    if (error_ != Decoded::incomplete) return error_;
    std::size_t size = 0;
    const Decoded outcome =
        decode(std::span<const std::byte>{bytes_}.subspan(begin_, end_ - begin_), record, size);
    if (outcome == Decoded::record) {
        begin_ += size;
    } else {
        error_ = outcome;
    }
    return outcome;
}

}  // namespace leak
