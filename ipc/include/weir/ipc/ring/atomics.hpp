// SPDX-License-Identifier: MIT
//
// How the ring's algorithm touches shared memory.
//
// Everything that the ring stores where another process can see it goes through one class, its Atomics: the control
// words, the record headers, the copies of payload, and the order between them. The algorithm is a template over it.
// MachineAtomics is the one that programs use; the tests bring two more, one that a model checker follows and one
// that ends the process at a chosen store. Each store names its Site, so that a test can tell that it saw them all.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir::ipc::ring {

/// Every place of the algorithm that stores into shared memory, or rings.
enum class Site : std::uint8_t {
    publish,        ///< the cursor, after which the peer may use what lies before it
    announce,       ///< an odd epoch: about to sleep
    withdraw,       ///< an even epoch: awake
    record_header,  ///< size and mark of a byte record
    pad_header,     ///< size and mark of the pad at the end
    payload,        ///< bytes copied into a record by the ring itself
    entry,          ///< what a side of a service says of a call
    bell,           ///< not a store: the peer is rung
    holder,         ///< of a named ring: who has taken a side, and how often it was taken
    claim,          ///< a byte that is about to be written, stored as what it is
};
inline constexpr std::size_t sites_count = static_cast<std::size_t>(Site::claim) + 1;  // the last one

/// The two fences without which wake-ups are lost. Each pairs with the other one in the peer.
enum class Fence : std::uint8_t {
    after_publish,   ///< between storing the own cursor and loading the peer's epoch
    after_announce,  ///< between storing the own epoch and loading the peer's cursor
};

/// What stands before each byte record. Eight bytes, eight-aligned.
struct RecordHeader {
    std::uint32_t size;  ///< payload bytes; of a pad, what is left to the end behind this header
    std::uint32_t mark;  ///< the cursor of this record's start, plus its kind in the low three bits
};
static_assert(sizeof(RecordHeader) == 8);

/// The machine's own atomics.
struct MachineAtomics {
    using Word = std::atomic<std::uint32_t>;
    static_assert(Word::is_always_lock_free && sizeof(Word) == 4);

    [[nodiscard]] static std::uint32_t load_relaxed(const Word& word) noexcept {
        return word.load(std::memory_order_relaxed);
    }
    [[nodiscard]] static std::uint32_t load_acquire(const Word& word) noexcept {
        return word.load(std::memory_order_acquire);
    }
    static void store_relaxed(Word& word, std::uint32_t value, Site) noexcept {
        word.store(value, std::memory_order_relaxed);
    }
    static void store_release(Word& word, std::uint32_t value, Site) noexcept {
        word.store(value, std::memory_order_release);
    }
    static void fence(Fence) noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }

    using Data = std::byte*;             // where the records lie
    using ConstData = const std::byte*;  // the same, seen by the reader
    static void write_header(Data data, std::uint32_t offset, RecordHeader header, Site) noexcept {
        std::memcpy(data + offset, &header, sizeof(header));
    }
    [[nodiscard]] static RecordHeader read_header(ConstData data, std::uint32_t offset) noexcept {
        RecordHeader header;
        // The peer may write to it at any time: what is used is what was read here, once.
        const auto* const at =
            static_cast<const volatile std::uint32_t*>(static_cast<const void*>(data + offset));
        header.size = at[0];
        header.mark = at[1];
        return header;
    }
    /// Takes the line of this byte for writing, and leaves it what it is.
    static void claim(Data data, std::size_t offset, Site) noexcept {
        volatile std::byte& byte = data[offset];
        byte = byte;
    }
    static void copy(std::byte* to, const std::byte* from, std::size_t size, Site) noexcept {
        if (size > 0) std::memcpy(to, from, size);
    }
};

}  // namespace weir::ipc::ring
