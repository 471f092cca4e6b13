// SPDX-License-Identifier: MIT
//
// What a client and its server write for each other.
//
// Each side has memory that it alone writes: a ring of small *entries*, two words for that ring and two for the peer's,
// and *places* for what is too large for an entry. A client has one place for the request of each call that it may have
// in flight. The server has `window` places for the replies of each, so that several parts of a stream can be on
// their way.
//
//     client's region                      server's region, one for each client
//       words of the entries it writes       head
//       words of the entries it reads        words of the entries it writes
//       entries                              words of the entries it reads
//       a place for each call's request      entries
//                                            `window` places for each call's replies
//
// An entry names a call by its index, which is also where its places are, and by its generation, which is one more each
// time that the index is used. A call begins with a request, and ends with the one entry of the server that is final:
// only then may the index be used again. So there are never more entries on their way than the rings hold, and nobody
// waits for room: a peer for whose entries there is none has broken the protocol.
#pragma once

#include "weir/ipc/ring/cursors.hpp"
#include "weir/ipc/shm/peer_memory.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir::ipc::service {

inline constexpr std::uint32_t service_object = 0x4c4c'4143;  // "CALL"
inline constexpr std::uint32_t protocol_version = 1;
inline constexpr std::uint32_t calls_max_most = 4'096;
inline constexpr std::uint32_t window_most = 256;

/// What an entry says. Those of a client:
enum class FromClient : std::uint16_t {
    request = 1,           ///< value = nanoseconds left until its deadline, or no_deadline
    request_streamed = 2,  ///< the same, of a call whose answer may come in parts
    cancel = 3,            ///< nobody waits for it any more; at most once for each call
    taken = 4,             ///< value = how many parts were taken: their places are free again
};
/// Those of a server. All but `part` are final.
enum class FromServer : std::uint16_t {
    reply = 1,     ///< in the next place
    part = 2,      ///< in the next place; more will follow
    finish = 3,    ///< no more parts
    reject = 4,    ///< value = status, 32 bits
    no_place = 5,  ///< the server has no room for it; value = how much it has
};
inline constexpr std::uint64_t no_deadline = ~std::uint64_t{0};

struct Entry {
    std::uint16_t index = 0;  ///< of the call
    std::uint16_t kind = 0;
    std::uint32_t generation = 0;
    std::uint64_t value = 0;
};
static_assert(sizeof(Entry) == 16 && alignof(Entry) <= 8);

/// Where the server's region begins. Written before a client sees it, never changed.
struct Head {
    std::uint32_t window = 0;
    std::uint32_t reply_size = 0;
};
inline constexpr std::size_t head_size = cache_line;
static_assert(sizeof(Head) <= head_size);

/// How large everything is. Both sides compute it from what they agreed on.
struct Shape {
    std::uint32_t calls_max = 0;
    std::uint32_t window = 1;  ///< replies of one call that may be on their way
    std::uint32_t request_size = 0;
    std::uint32_t reply_size = 0;
    std::uint32_t alignment = 8;  ///< of both, at least 8, at most a cache line

    [[nodiscard]] constexpr bool calls_possible() const noexcept {
        return calls_max >= 1 && calls_max <= calls_max_most;
    }
    [[nodiscard]] constexpr bool window_possible() const noexcept {
        return window >= 1 && window <= window_most;
    }
    [[nodiscard]] constexpr std::size_t request_stride() const noexcept { return padded(request_size); }
    [[nodiscard]] constexpr std::size_t reply_stride() const noexcept { return padded(reply_size); }
    /// The final entry and the parts before it that the client has not read.
    [[nodiscard]] constexpr std::uint32_t entries_of_server() const noexcept {
        return std::bit_ceil(calls_max * (window + 1));
    }
    /// What the server may not have read when the index is used again: the cancel of the call before, and what it said of
    /// its parts; then the request, and its cancel.
    [[nodiscard]] constexpr std::uint32_t entries_of_client() const noexcept {
        return std::bit_ceil(calls_max * (window + 3));
    }
    [[nodiscard]] constexpr std::uint32_t replies_max() const noexcept { return calls_max * window; }
    /// Bytes of the regions.
    [[nodiscard]] constexpr std::uint64_t client_bytes() const noexcept {
        return client_entries + std::uint64_t{entries_of_client()} * sizeof(Entry) +
               std::uint64_t{calls_max} * request_stride() + alignment_slack;
    }
    [[nodiscard]] constexpr std::uint64_t server_bytes() const noexcept {
        return server_entries + std::uint64_t{entries_of_server()} * sizeof(Entry) +
               std::uint64_t{replies_max()} * reply_stride() + alignment_slack;
    }

    // --- offsets
    static constexpr std::size_t words_size = sizeof(ring::Words<ring::MachineAtomics>);
    static constexpr std::size_t client_writes = 0;
    static constexpr std::size_t client_reads = words_size;
    static constexpr std::size_t client_entries = 2 * words_size;
    static constexpr std::size_t server_writes = head_size;
    static constexpr std::size_t server_reads = head_size + words_size;
    static constexpr std::size_t server_entries = head_size + 2 * words_size;
    [[nodiscard]] constexpr std::size_t request_place(std::uint32_t index) const noexcept {
        return on_line(client_entries + entries_of_client() * sizeof(Entry)) + index * request_stride();
    }
    [[nodiscard]] constexpr std::size_t reply_place(std::uint32_t index,
                                                    std::uint32_t number) const noexcept {
        const std::size_t place = std::size_t{index} * window + number % window;
        return on_line(server_entries + entries_of_server() * sizeof(Entry)) + place * reply_stride();
    }

private:
    static constexpr std::size_t alignment_slack = cache_line;
    static constexpr std::size_t on_line(std::size_t offset) noexcept {
        return (offset + cache_line - 1) / cache_line * cache_line;
    }
    [[nodiscard]] constexpr std::size_t padded(std::uint32_t size) const noexcept {
        return (std::size_t{size} + alignment - 1) / alignment * alignment;
    }
};

/// Whether a private copy of what the peer wrote is a value of its type; null: whatever it wrote is.
using Valid = bool (*)(const std::byte* record) noexcept;

/// A copy of an entry that the peer wrote and may change at any time: each word of it is read once.
[[nodiscard]] inline Entry read_entry(const std::byte* at) noexcept {
    const auto* const words = static_cast<const volatile std::uint32_t*>(static_cast<const void*>(at));
    const std::uint32_t raw[4] = {words[0], words[1], words[2], words[3]};
    Entry entry;
    std::memcpy(&entry, raw, sizeof(entry));
    return entry;
}

/// The ring of entries that one side writes.
template <class Atomics>
class EntryWriter : public ring::Producer<Atomics> {
public:
    EntryWriter() noexcept = default;
    EntryWriter(ring::Words<Atomics>& own, const ring::Words<Atomics>& peer, std::byte* entries,
                std::uint32_t entries_max) noexcept
        : ring::Producer<Atomics>(own, peer, entries_max), entries_(entries) {}

    /// Not yet published. False: there is no room, so the peer has broken the protocol.
    [[nodiscard]] bool put(const Entry& entry) noexcept {
        if (this->need(1) != ring::Look::ready) [[unlikely]]
            return false;
        const std::size_t offset = std::size_t{this->offset()} * sizeof(Entry);
        Atomics::copy(entries_ + offset, static_cast<const std::byte*>(static_cast<const void*>(&entry)),
                      sizeof(entry), ring::Site::entry);
        this->advance(1);
        return true;
    }

private:
    std::byte* entries_ = nullptr;
};

/// The ring of entries that the other side writes.
template <class Atomics>
class EntryReader : public ring::Consumer<Atomics> {
public:
    EntryReader() noexcept = default;
    EntryReader(ring::Words<Atomics>& own, const ring::Words<Atomics>& peer, const std::byte* entries,
                std::uint32_t entries_max) noexcept
        : ring::Consumer<Atomics>(own, peer, entries_max), entries_(entries) {}

    /// The next one; known() is not 0.
    [[nodiscard]] Entry take() noexcept {
        const Entry entry = read_entry(entries_ + std::size_t{this->offset()} * sizeof(Entry));
        this->advance(1);
        return entry;
    }

private:
    const std::byte* entries_ = nullptr;
};

/// The words at `offset` of a side's memory.
template <class Atomics>
[[nodiscard]] ring::Words<Atomics>& words_at(std::byte* memory, std::size_t offset) noexcept {
    void* const at = memory + offset;
    return *static_cast<ring::Words<Atomics>*>(at);
}
template <class Atomics>
[[nodiscard]] const ring::Words<Atomics>& words_at(const std::byte* memory, std::size_t offset) noexcept {
    const void* const at = memory + offset;
    return *static_cast<const ring::Words<Atomics>*>(at);
}

}  // namespace weir::ipc::service
