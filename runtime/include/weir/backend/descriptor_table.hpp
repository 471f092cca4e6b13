// SPDX-License-Identifier: MIT
//
// The descriptors on which operations wait.
//
// A DescriptorEntry is what the scheduler knows of a descriptor: one slot of a fixed table, one operation in each
// direction. A backend names an entry to the kernel by index and generation, never by pointer, since events may
// still arrive for a descriptor that was closed while a duplicate of it lives elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir {

struct Operation;

enum class Direction : std::uint8_t { in, out };

/// What epoll told of a descriptor last, in DescriptorEntry::note: of each change there is another event.
namespace told_of {
inline constexpr std::uint8_t bytes = 0x80;    ///< bytes, or room for some, and nothing else
inline constexpr std::uint8_t more = 0x81;     ///< the end of the stream, an error, urgent bytes
inline constexpr std::uint8_t drained = 0x82;  ///< bytes, and all of them were read since
}  // namespace told_of

// Aligned, so that an index is found by a shift on 32-bit machines, too.
struct alignas(8) DescriptorEntry {
    int fd = -1;
    std::uint32_t generation = 0;
    bool nonblocking = false;   ///< O_NONBLOCK is set; otherwise each try is preceded by a poll
    bool foreign = false;       ///< no handle's: exists for callers of readable()/writable() alone
    std::uint16_t sharers = 0;  ///< awaits of readable()/writable() that have not ended
    std::uint8_t armed = 0;     ///< the backend's own note: what the kernel was asked to report, or can be
    /// io_uring's own note: reads that it does not try before it queues them. epoll's: what it told of last.
    std::uint8_t note = 0;
    std::uint8_t held = 0;       ///< an operation pauses here and goes on soon; a bit for each Direction
    bool external : 1 = false;   ///< other threads may make it ready (for the simulated backend)
    bool drains : 1 = false;     ///< a read that leaves room in its buffer has taken all there was
    bool asked : 1 = false;      ///< whether it drains is known
    Operation* waiting[2] = {};  ///< submitted, not yet done; indexed by Direction
    DescriptorEntry* next_free = nullptr;

    /// Begins a new use of the entry, of which nothing of an earlier one is left.
    void begin(int number, bool is_nonblocking) noexcept {
        fd = number;
        ++generation;
        nonblocking = is_nonblocking;
        foreign = false;
        sharers = 0;
        armed = 0;
        note = 0;
        held = 0;
        external = false;
        drains = false;
        asked = false;
    }

    [[nodiscard]] Operation*& waiting_in(Direction direction) noexcept {
        return waiting[static_cast<unsigned>(direction)];
    }
    /// Somebody waits in this direction, or goes on there soon.
    [[nodiscard]] bool busy_in(Direction direction) const noexcept {
        const auto index = static_cast<unsigned>(direction);
        return waiting[index] != nullptr || ((held >> index) & 1U) != 0;
    }
    /// Keeps the direction for an operation that is not submitted just now.
    void hold(Direction direction, bool on) noexcept {
        const auto bit = static_cast<std::uint8_t>(1U << static_cast<unsigned>(direction));
        held = static_cast<std::uint8_t>(on ? held | bit : held & ~bit);
    }
    [[nodiscard]] bool busy() const noexcept { return busy_in(Direction::in) || busy_in(Direction::out); }
};

/// A fixed number of entries in memory given at start.
class DescriptorTable {
public:
    constexpr DescriptorTable() noexcept = default;
    DescriptorTable(const DescriptorTable&) = delete;
    DescriptorTable& operator=(const DescriptorTable&) = delete;

    /// The last `reserved` of `entries` are only found, never taken: they belong to somebody else.
    void start(std::span<DescriptorEntry> entries, std::size_t reserved = 0) noexcept;

    /// For a handle. Where somebody awaits readiness of the same descriptor it is that entry, since the kernel registers
    /// a descriptor once. Null when the table is full.
    [[nodiscard]] DescriptorEntry* take(int fd, bool nonblocking) noexcept;
    /// For one await of readiness: the entry that `fd` has, or a new one. Looks through the table. Null when it is full.
    [[nodiscard]] DescriptorEntry* share(int fd) noexcept;
    /// The end of that await; true if the entry is nobody's any more and has to be forgotten and given back.
    [[nodiscard]] static bool unshare(DescriptorEntry& entry) noexcept;
    /// The entry has no operation in flight and the backend has forgotten it.
    void give_back(DescriptorEntry& entry) noexcept;

    [[nodiscard]] std::size_t index_of(const DescriptorEntry& entry) const noexcept {
        return static_cast<std::size_t>(&entry - entries_.data());
    }
    /// The entry at `index` if it still is the one of `generation`, else null.
    [[nodiscard]] DescriptorEntry* find(std::size_t index, std::uint32_t generation) noexcept {
        if (index >= entries_.size()) return nullptr;
        DescriptorEntry& entry = entries_[index];
        return entry.fd >= 0 && entry.generation == generation ? &entry : nullptr;
    }
    /// Without the reserved ones.
    [[nodiscard]] std::size_t capacity() const noexcept { return entries_.size() - reserved_; }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::size_t peak() const noexcept { return peak_; }

private:
    [[nodiscard]] DescriptorEntry* find_fd(int fd) noexcept;

    std::span<DescriptorEntry> entries_;
    std::size_t reserved_ = 0;
    DescriptorEntry* free_ = nullptr;
    std::size_t count_ = 0;
    std::size_t foreign_count_ = 0;  // without any, take() need not look
    std::size_t peak_ = 0;
};

}  // namespace weir
