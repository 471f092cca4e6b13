// SPDX-License-Identifier: MIT
//
// Ring: records of 64 bytes through shared memory, between two processes.
//
// The parent measures, its child is the other side. A round trip is a record there and another back, one in flight,
// asleep on one core (each side waits in the kernel) or busy on two (each side looks until the record is there). One
// way the child sends as fast as it can, on a core of its own, and the parent takes every record; an operation is
// one record. Both fill and read the whole record and check that none is lost.

#pragma once

#include "measurement.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bench {

struct Record {
    std::array<std::uint64_t, 8> words;
};
static_assert(sizeof(Record) == 64);

inline constexpr std::size_t ring_slots = 1'024;
inline constexpr std::size_t ring_batch = 16;

inline void fill(Record& record, std::uint64_t number) noexcept {
    for (std::uint64_t& word : record.words) word = number++;
}

/// The sum of what it holds, minus what fill() put in: zero, if it is the record of this number.
[[nodiscard]] inline std::uint64_t difference(const Record& record, std::uint64_t number) noexcept {
    std::uint64_t found = 0;
    for (const std::uint64_t word : record.words) found |= word ^ number++;
    return found;
}

/// Ends the program if `difference` is not zero.
void check_record(std::uint64_t difference);

struct RingSides {
    std::size_t cores;
    std::size_t batch_operations;
    /// Called once, before the child is made; what it makes is shared with it.
    void (*prepare)();
    void (*measure)(Batches& batches);
    /// The child's: `operations` of them.
    void (*serve)(std::size_t operations);
    /// Called in both processes while they may still run on `cores`; may be null.
    void (*begin)() = nullptr;
    /// Called when the child has ended; may be null.
    void (*clean_up)() = nullptr;
    /// Prints what else was found out; may be null.
    void (*report)() = nullptr;
};

struct NamedRing {
    std::string_view name;
    RingSides sides;
};

/// About half a millisecond, asleep; 20 µs, busy; a tenth of a millisecond, one way.
inline constexpr std::size_t asleep_batch = 64;
inline constexpr std::size_t busy_batch = 256;
inline constexpr std::size_t one_way_batch = 4'096;

/// The whole of `main`: `PROGRAM APPROACH OPERATIONS`.
int ring_main(std::span<char* const> arguments, std::span<const NamedRing> rings);

}  // namespace bench
