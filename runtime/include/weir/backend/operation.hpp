// SPDX-License-Identifier: MIT
//
// One operation on one descriptor.
//
// An Operation is a caller-owned record: it lives in the awaiting task's frame, says what to do, and is pinned
// from submit() until `done` is called with the result in it. The verbs are few on purpose; what a kernel
// object needs beyond them is composed above this layer.
//
// A DescriptorEntry is what the scheduler knows of a descriptor: one slot of a fixed table, one operation in each
// direction. A backend names an entry to the kernel by index and generation, never by pointer, since events may
// still arrive for a descriptor that was closed while a duplicate of it lives elsewhere.
#pragma once

#include "weir/core/assert.hpp"
#include "weir/core/list.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

struct sockaddr;

namespace weir {

struct Operation;

enum class Direction : std::uint8_t { in, out };

struct DescriptorEntry {
    int fd = -1;
    std::uint32_t generation = 0;
    bool nonblocking = false;    ///< O_NONBLOCK is set; otherwise each try is preceded by a poll
    std::uint8_t armed = 0;      ///< the backend's own note: what the kernel was asked to report, or can be
    std::uint8_t untried = 0;    ///< the backend's own note: reads that it does not try before it queues them
    bool foreign = false;        ///< no handle's: exists for callers of readable()/writable() alone
    bool external = false;       ///< other threads may make it ready (for the simulated backend)
    std::uint8_t held = 0;       ///< an operation pauses here and goes on soon; a bit for each Direction
    std::uint16_t sharers = 0;   ///< awaits of readable()/writable() that have not ended
    Operation* waiting[2] = {};  ///< submitted, not yet done; indexed by Direction
    DescriptorEntry* next_free = nullptr;

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

struct OperationLinks;  // the list tag: a backend may keep submitted operations in a list

/// A message of a POSIX message queue, as its two verbs take it.
struct QueueMessage {
    void* bytes;
    std::size_t size;        ///< the message's; when receiving, the buffer's
    std::uint32_t priority;  ///< written when receiving
};

struct Operation : ListNode<OperationLinks> {
    enum class Verb : std::uint8_t {
        read,             ///< read(2) into `data`
        write,            ///< write(2) from `data`
        receive,          ///< recv(2)
        send,             ///< send(2)
        receive_message,  ///< recvmsg(2) into the sys::Message at `data`
        send_message,     ///< sendmsg(2) of the sys::Message at `data`
        accept,           ///< accept4(2): the result is the new descriptor
        connect,          ///< the end of a connect(2) that was begun before
        readable,         ///< ready to be read, or hung up
        writable,         ///< ready to be written, or hung up
        fifo_read,        ///< like read, but waits for the first writer instead of reporting end of stream
        queue_receive,    ///< mq_receive(3): `data` is a QueueMessage; the result is the message's size
        queue_send,       ///< mq_send(3): `data` is a QueueMessage
        device_read,      ///< like read, but a terminal that hung up (EIO) is the end of the stream
        device_write,     ///< like write, but to a terminal that hung up it is EPIPE
    };
    using Done = void (*)(Operation&) noexcept;

    Operation() noexcept = default;

    [[nodiscard]] Direction direction() const noexcept {
        switch (verb) {
            case Verb::read:
            case Verb::receive:
            case Verb::receive_message:
            case Verb::accept:
            case Verb::readable:
            case Verb::fifo_read:
            case Verb::queue_receive:
            case Verb::device_read: return Direction::in;
            case Verb::write:
            case Verb::send:
            case Verb::send_message:
            case Verb::connect:
            case Verb::writable:
            case Verb::queue_send:
            case Verb::device_write: return Direction::out;
        }
        return Direction::in;
    }

    Verb verb = Verb::readable;
    bool stream = false;  ///< bytes of a stream, which may move in pieces; all else is whole or not at all
    bool queued = false;  ///< no stream, and yet read by the kernel's queue (a counter)
    bool polled = false;  ///< the backend's own: its queue does not move this, but waits for readiness
    bool cancelling = false;  ///< the backend's own: cancel() was called
    bool settled = false;     ///< the backend's own: `result` is known, and something is still to come
    std::uint8_t unseen = 0;  ///< the backend's own: completions that are still to come
    DescriptorEntry* entry = nullptr;
    void* data = nullptr;  ///< the buffer or the message
    std::size_t size = 0;  ///< bytes in it
    long result = 0;       ///< when done: what the call returned, or the negative errno
    Done done = nullptr;
};

/// Tries the operation on its descriptor without waiting: the call's result, or the negative errno; -EAGAIN
/// means that it has to wait. What every backend's attempt() comes down to.
long attempt_now(const Operation& operation) noexcept;

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
