// SPDX-License-Identifier: MIT
//
// Records of bytes, each of any length up to half the ring.
//
// A record is a header of eight bytes and its payload, padded to eight, in one piece. What does not fit before the
// end of the data is preceded by a pad that fills it up; since a record takes at most half the ring, pad and record
// together always fit. Cursors count bytes and are multiples of eight.
//
// The header repeats where it stands, so a reader tells a record from what lay there a lap ago. It is read once, and
// every number in it checked against what was committed, before any of it is used.
#pragma once

#include "weir/ipc/ring/cursors.hpp"

#include <algorithm>

namespace weir::ipc::ring {

inline constexpr std::uint32_t ring_bytes_max = 1U << 30;
inline constexpr std::uint32_t ring_bytes_min = 64;

/// What a record of `size` bytes takes of the ring.
[[nodiscard]] constexpr std::uint32_t record_units(std::uint32_t size) noexcept {
    return static_cast<std::uint32_t>(sizeof(RecordHeader)) + ((size + 7U) & ~7U);
}
/// The longest record of a ring.
[[nodiscard]] constexpr std::uint32_t record_size_max(std::uint32_t ring_bytes) noexcept {
    return ring_bytes / 2 - static_cast<std::uint32_t>(sizeof(RecordHeader));
}
static_assert(record_units(record_size_max(ring_bytes_max)) == ring_bytes_max / 2);
static_assert(record_units(0) == 8 && record_units(1) == 16 && record_units(8) == 16);

// Kinds, in the low three bits of the mark, which a cursor leaves free. 0 is none, so that zeroed memory is no record.
inline constexpr std::uint32_t record_kind = 1;
inline constexpr std::uint32_t pad_kind = 2;

template <class Atomics>
class RecordProducer : public Producer<Atomics> {
public:
    RecordProducer() noexcept = default;
    RecordProducer(Words<Atomics>& own, const Words<Atomics>& peer, typename Atomics::Data data,
                   std::uint32_t ring_bytes) noexcept
        : Producer<Atomics>(own, peer, ring_bytes), data_(data), claimed_(this->position()) {}

    /// What has to be free before a record of `size` bytes can be written: with a pad, more than it takes itself.
    /// `size` is at most record_size_max().
    [[nodiscard]] std::uint32_t needed(std::uint32_t size) const noexcept {
        const std::uint32_t units = record_units(size);
        return units <= this->to_end() ? units : units + this->to_end();
    }
    /// Where the payload will lie; needed(size) is free.
    [[nodiscard]] std::uint32_t payload_offset(std::uint32_t size) const noexcept {
        const std::uint32_t at = record_units(size) <= this->to_end() ? this->offset() : 0;
        return at + static_cast<std::uint32_t>(sizeof(RecordHeader));
    }
    /// The next `units` of `unit_bytes` each are about to be written: takes their cache lines from the reader's processor.
    /// Lines that are written one by one are also waited for one by one, as soon as the stores that wait for the first of
    /// them fill the processor's queue; taken ahead of need, they come over side by side. Their bytes stay what they are.
    void claim(std::uint32_t unit_bytes, std::uint32_t units) noexcept {
        if (static_cast<std::int32_t>(this->position() + units - claimed_) > 0) [[unlikely]]
            claim_lines(unit_bytes, units);
    }
    /// Copies the payload of a record that is reserved with `size` bytes. Those who fill it in place do without.
    void fill(const std::byte* from, std::uint32_t size) noexcept {
        Atomics::copy(data_ + payload_offset(size), from, size, Site::payload);
    }
    /// Ends a record that was reserved with `reserved` bytes and filled with the first `size`. Not yet published.
    void finish(std::uint32_t reserved, std::uint32_t size) noexcept {
        if (record_units(reserved) > this->to_end()) {
            const std::uint32_t left = this->to_end();
            Atomics::write_header(
                data_, this->offset(),
                {left - static_cast<std::uint32_t>(sizeof(RecordHeader)), this->position() | pad_kind},
                Site::pad_header);
            this->advance(left);
        }
        Atomics::write_header(data_, this->offset(), {size, this->position() | record_kind},
                              Site::record_header);
        this->advance(record_units(size));
    }

    /// What the record or pad at `cursor`, which was finished and not written over since, takes of the ring.
    [[nodiscard]] std::uint32_t span_at(std::uint32_t cursor) const noexcept {
        const RecordHeader header = Atomics::read_header(data_, cursor & (this->capacity() - 1));
        const bool pad = header.mark == (cursor | pad_kind);
        return pad ? header.size + static_cast<std::uint32_t>(sizeof(RecordHeader))
                   : record_units(header.size);
    }

private:
    // More than this would be fetched back by a reader's processor that guesses what it will read next.
    static constexpr std::uint32_t claim_bytes = 512;
    static constexpr std::uint32_t batch_bytes = 2'048;  // except that a batch is claimed whole
    static constexpr std::uint32_t line_bytes = 64;

    void claim_lines(std::uint32_t unit_bytes, std::uint32_t units) noexcept {
        const std::uint32_t most = std::max(units, claim_bytes / unit_bytes);
        const std::uint32_t claimed = std::min({most, this->known(), this->to_end()});
        claimed_ = this->position() + claimed;
        if (unit_bytes * units > batch_bytes) return;  // writing it has many on their way by itself
        const std::size_t begin = std::size_t{this->offset()} * unit_bytes;
        const std::size_t end = begin + std::size_t{claimed} * unit_bytes;
        for (std::size_t at = begin; at < end; at += line_bytes) Atomics::claim(data_, at, Site::claim);
    }

    typename Atomics::Data data_{};
    std::uint32_t claimed_ = 0;  // up to where lines were taken ahead
};

template <class Atomics>
class RecordConsumer : public Consumer<Atomics> {
public:
    RecordConsumer() noexcept = default;
    RecordConsumer(Words<Atomics>& own, const Words<Atomics>& peer, typename Atomics::ConstData data,
                   std::uint32_t ring_bytes) noexcept
        : Consumer<Atomics>(own, peer, ring_bytes), data_(data) {}

    struct Record {
        std::uint32_t offset;  ///< of the payload
        std::uint32_t size;
        std::uint32_t units;  ///< what it takes of the ring, with a pad before it
    };

    /// Finds the next record, which stays. The caller saw that something is there. False if the headers are impossible.
    [[nodiscard]] bool find(Record& record) const noexcept {
        std::uint32_t pad = 0;
        for (;;) {
            const std::uint32_t position = this->position() + pad;
            const std::uint32_t offset = position & (this->capacity() - 1);
            const std::uint32_t left = this->capacity() - offset;
            const std::uint32_t known = this->known() - pad;
            const RecordHeader header = Atomics::read_header(data_, offset);
            if (header.mark == (position | record_kind)) [[likely]] {
                if (header.size > record_size_max(this->capacity())) return false;
                const std::uint32_t units = record_units(header.size);
                if (units > known || units > left) return false;
                record = {offset + static_cast<std::uint32_t>(sizeof(RecordHeader)), header.size,
                          pad + units};
                return true;
            }
            if (header.mark != (position | pad_kind) || pad > 0) return false;
            if (header.size != left - sizeof(RecordHeader)) return false;
            if (left >= known) return false;  // a pad is committed with the record behind it
            pad = left;
        }
    }
    /// The same, and goes on behind it.
    [[nodiscard]] bool take(Record& record) noexcept {
        if (!find(record)) return false;
        this->advance(record.units);
        return true;
    }

private:
    typename Atomics::ConstData data_{};
};

}  // namespace weir::ipc::ring
