// SPDX-License-Identifier: MIT
//
// How the topic's algorithm touches shared memory.
//
// As with the ring, everything that is stored where another process can see it goes through one class, its Atomics:
// MachineAtomics in programs, others in the tests, for a model checker and for deaths at a chosen store. Each store
// names its Site. The samples themselves are plain memory: who may touch them when is what the algorithm decides.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace weir::ipc::topic {

/// Every place of the algorithm that stores into shared memory, or rings.
enum class Site : std::uint8_t {
    // --- the publisher's
    unlink,     ///< an entry holds nothing: its sample is gone from here on
    link_slot,  ///< which slot the entry is about to stand for
    link,       ///< its number: the sample can be taken
    publish,    ///< the cursor: how many there are
    // --- the subscriber's
    pin,       ///< a slot that may not be used again
    unpin,     ///< it may
    position,  ///< all before it was taken
    // --- both
    announce,  ///< an odd epoch: about to sleep
    withdraw,  ///< an even epoch: awake
    bell,      ///< not a store: the other side is rung
};
inline constexpr std::size_t sites_count = static_cast<std::size_t>(Site::bell) + 1;  // the last one

/// The full fences. The first two pair with each other, and so do the last two.
enum class Fence : std::uint8_t {
    after_unlink,    ///< publisher: between unlinking entries and reading the pins
    after_pin,       ///< subscriber: between storing a pin and the second look at the entry
    after_tell,      ///< between storing the cursor, or the position, and loading the other's epoch
    after_announce,  ///< between storing the own epoch and looking again
};

/// The machine's own atomics.
struct MachineAtomics {
    using Word = std::atomic<std::uint32_t>;
    using Long = std::atomic<std::uint64_t>;
    static_assert(Word::is_always_lock_free && sizeof(Word) == 4);
    // On 32-bit ARM a load of it is one ldrexd, which needs no write access.
    static_assert(Long::is_always_lock_free && sizeof(Long) == 8);

    template <class T>
    [[nodiscard]] static T load_relaxed(const std::atomic<T>& word) noexcept {
        return word.load(std::memory_order_relaxed);
    }
    template <class T>
    [[nodiscard]] static T load_acquire(const std::atomic<T>& word) noexcept {
        return word.load(std::memory_order_acquire);
    }
    /// The second look at an entry; `first` is what the first one found.
    [[nodiscard]] static std::uint64_t load_again(const Long& word, std::uint64_t /*first*/) noexcept {
        return word.load(std::memory_order_relaxed);
    }
    template <class T>
    static void store_relaxed(std::atomic<T>& word, std::type_identity_t<T> value, Site) noexcept {
        word.store(value, std::memory_order_relaxed);
    }
    template <class T>
    static void store_release(std::atomic<T>& word, std::type_identity_t<T> value, Site) noexcept {
        word.store(value, std::memory_order_release);
    }
    static void fence(Fence) noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }
};

}  // namespace weir::ipc::topic
