// SPDX-License-Identifier: MIT
//
// Fixed-width fields in bytes, little endian, whatever the machine.
//
// A ByteWriter puts fields one after the other into a span, a ByteReader takes them out in the same order.
// Neither ever leaves its span: once a field does not fit, nothing more is written or read (reads give 0) and
// ok() is false. One look at ok() at the end is therefore enough. Doubles travel as the 64 bits of their IEEE
// 754 form.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace leak {

static_assert(std::numeric_limits<double>::is_iec559 && sizeof(double) == 8);

class ByteWriter {
public:
    explicit ByteWriter(std::span<std::byte> bytes) : bytes_(bytes) {}

    template <std::unsigned_integral Integer>
    void put(Integer value) {
        if (!reserve(sizeof(Integer))) return;
        for (std::size_t i = 0; i < sizeof(Integer); ++i) {
            bytes_[size_++] = static_cast<std::byte>((value >> (8 * i)) & 0xffu);
        }
    }

    void put(std::int64_t value) { put(static_cast<std::uint64_t>(value)); }
    void put(double value) { put(std::bit_cast<std::uint64_t>(value)); }

    void put(std::span<const std::byte> bytes) {
        if (!reserve(bytes.size())) return;
        for (const std::byte byte : bytes) bytes_[size_++] = byte;
    }

    bool ok() const { return ok_; }
    std::size_t size() const { return size_; }

private:
    bool reserve(std::size_t size) {
        ok_ = ok_ && size <= bytes_.size() - size_;
        return ok_;
    }

    std::span<std::byte> bytes_;
    std::size_t size_ = 0;
    bool ok_ = true;
};

class ByteReader {
public:
    explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    template <std::unsigned_integral Integer>
    Integer take() {
        if (!reserve(sizeof(Integer))) return 0;
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < sizeof(Integer); ++i) {
            value |= std::to_integer<std::uint64_t>(bytes_[size_++]) << (8 * i);
        }
        return static_cast<Integer>(value);
    }

    std::int64_t take_signed() { return static_cast<std::int64_t>(take<std::uint64_t>()); }
    double take_double() { return std::bit_cast<double>(take<std::uint64_t>()); }

    std::span<const std::byte> take_bytes(std::size_t size) {
        if (!reserve(size)) return {};
        const auto taken = bytes_.subspan(size_, size);
        size_ += size;
        return taken;
    }

    bool ok() const { return ok_; }
    std::size_t rest() const { return bytes_.size() - size_; }

private:
    bool reserve(std::size_t size) {
        ok_ = ok_ && size <= bytes_.size() - size_;
        return ok_;
    }

    std::span<const std::byte> bytes_;
    std::size_t size_ = 0;
    bool ok_ = true;
};

namespace checksum_table {

/// The reflected polynomial 0xedb88320, as in Ethernet and zip.
constexpr std::array<std::uint32_t, 256> make() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t rest = byte;
        for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1u) != 0 ? 0xedb88320u : 0u);
        table[byte] = rest;
    }
    return table;
}

inline constexpr std::array<std::uint32_t, 256> entries = make();

}  // namespace checksum_table

/// CRC-32. `before` is the checksum of what came before, so that parts can be summed one after the other.
constexpr std::uint32_t checksum_of(std::span<const std::byte> bytes, std::uint32_t before = 0) {
    std::uint32_t sum = ~before;
    for (const std::byte byte : bytes) {
        sum = (sum >> 8) ^ checksum_table::entries[(sum ^ std::to_integer<std::uint32_t>(byte)) & 0xffu];
    }
    return ~sum;
}

}  // namespace leak
