// SPDX-License-Identifier: MIT
//
// One operation on one descriptor.
//
// An Operation is a caller-owned record: it lives in the awaiting task's frame, says what to do, and is pinned
// from submit() until `done` is called with the result in it. The verbs are few on purpose; what a kernel
// object needs beyond them is composed above this layer.
#pragma once

#include "weir/core/list.hpp"
#include "weir/backend/descriptor_table.hpp"

#include <cstddef>
#include <cstdint>

namespace weir {

struct OperationLinks;  // the list tag: a backend may keep submitted operations in a list

/// A message of a POSIX message queue, as its two verbs take it.
struct QueueMessage {
    void* bytes;
    std::size_t size;        ///< the message's; when receiving, the buffer's
    std::uint32_t priority;  ///< written when receiving
};

struct Operation : ListNode<OperationLinks> {
    /// What it does: the address of what backends know of that. So a program has the calls in it that it names, and no
    /// others.
    class Verb {
    public:
        /// How an operation's data may be moved by a backend's queue instead of by the try.
        enum class Queue : std::uint8_t {
            no,               ///< not at all
            read,             ///< as read(2) does, if it is a stream's or `queued`
            receive,          ///< as recv(2) does
            receive_message,  ///< as recvmsg(2) does
            send,             ///< as send(2) does
        };
        struct Traits {
            /// Tries it without waiting: the call's result, or the negative errno; -EAGAIN means that it has to wait.
            long (*attempt)(const Operation& operation) noexcept;
            Direction direction;
            Queue queue = Queue::no;
            bool frames =
                false;  ///< what moves may be a frame of a device's: never cut, even where it is a stream
        };

        static const Verb read;             ///< read(2) into `data`
        static const Verb write;            ///< write(2) from `data`
        static const Verb receive;          ///< recv(2) of a unix stream
        static const Verb receive_tcp;      ///< recv(2) of a TCP stream
        static const Verb send;             ///< send(2)
        static const Verb receive_message;  ///< recvmsg(2) into the sys::Message at `data`
        static const Verb send_message;     ///< sendmsg(2) of the sys::Message at `data`
        static const Verb accept;           ///< accept4(2): the result is the new descriptor
        static const Verb connect;          ///< the end of a connect(2) that was begun before
        static const Verb readable;         ///< ready to be read, or hung up
        static const Verb writable;         ///< ready to be written, or hung up
        /// Like read, but waits for the first writer instead of reporting end of stream.
        static const Verb fifo_read;
        static const Verb
            queue_receive;  ///< mq_receive(3): `data` is a QueueMessage; the result is the message's size
        static const Verb queue_send;  ///< mq_send(3): `data` is a QueueMessage
        static const Verb
            device_read;  ///< like read, but a terminal that hung up (EIO) is the end of the stream
        static const Verb device_write;  ///< like write, but to a terminal that hung up it is EPIPE

        explicit constexpr Verb(const Traits& traits) noexcept : traits_(&traits) {}
        [[nodiscard]] constexpr const Traits* operator->() const noexcept { return traits_; }
        friend constexpr bool operator==(const Verb&, const Verb&) noexcept = default;

    private:
        const Traits* traits_;
    };
    using Done = void (*)(Operation&) noexcept;

    explicit Operation(const Verb& what) noexcept : verb(what) {}

    [[nodiscard]] Direction direction() const noexcept { return verb->direction; }

    Verb verb;
    DescriptorEntry* entry = nullptr;
    void* data = nullptr;  ///< the buffer or the message
    std::size_t size = 0;  ///< bytes in it
    long result = 0;       ///< when done: what the call returned, or the negative errno
    Done done = nullptr;
    // Last, so that what derives from it goes on in the same word.
    bool stream : 1 = false;  ///< bytes of a stream, which may move in pieces; else whole or not at all
    bool queued : 1 = false;  ///< no stream, and yet read by the kernel's queue (a counter)
    bool polled : 1 = false;  ///< the backend's own: its queue does not move this, but waits for readiness
    bool cancelling : 1 = false;  ///< the backend's own: cancel() was called
    bool settled : 1 = false;     ///< the backend's own: `result` is known, and something is still to come
    std::uint8_t unseen = 0;      ///< the backend's own: completions that are still to come
};

namespace verb_traits {
extern const Operation::Verb::Traits read;
extern const Operation::Verb::Traits write;
extern const Operation::Verb::Traits receive;
extern const Operation::Verb::Traits receive_tcp;
extern const Operation::Verb::Traits send;
extern const Operation::Verb::Traits receive_message;
extern const Operation::Verb::Traits send_message;
extern const Operation::Verb::Traits accept;
extern const Operation::Verb::Traits connect;
extern const Operation::Verb::Traits readable;
extern const Operation::Verb::Traits writable;
extern const Operation::Verb::Traits fifo_read;
extern const Operation::Verb::Traits queue_receive;
extern const Operation::Verb::Traits queue_send;
extern const Operation::Verb::Traits device_read;
extern const Operation::Verb::Traits device_write;
}  // namespace verb_traits

inline constexpr Operation::Verb Operation::Verb::read{verb_traits::read};
inline constexpr Operation::Verb Operation::Verb::write{verb_traits::write};
inline constexpr Operation::Verb Operation::Verb::receive{verb_traits::receive};
inline constexpr Operation::Verb Operation::Verb::receive_tcp{verb_traits::receive_tcp};
inline constexpr Operation::Verb Operation::Verb::send{verb_traits::send};
inline constexpr Operation::Verb Operation::Verb::receive_message{verb_traits::receive_message};
inline constexpr Operation::Verb Operation::Verb::send_message{verb_traits::send_message};
inline constexpr Operation::Verb Operation::Verb::accept{verb_traits::accept};
inline constexpr Operation::Verb Operation::Verb::connect{verb_traits::connect};
inline constexpr Operation::Verb Operation::Verb::readable{verb_traits::readable};
inline constexpr Operation::Verb Operation::Verb::writable{verb_traits::writable};
inline constexpr Operation::Verb Operation::Verb::fifo_read{verb_traits::fifo_read};
inline constexpr Operation::Verb Operation::Verb::queue_receive{verb_traits::queue_receive};
inline constexpr Operation::Verb Operation::Verb::queue_send{verb_traits::queue_send};
inline constexpr Operation::Verb Operation::Verb::device_read{verb_traits::device_read};
inline constexpr Operation::Verb Operation::Verb::device_write{verb_traits::device_write};

/// Tries the operation on its descriptor without waiting: the call's result, or the negative errno; -EAGAIN
/// means that it has to wait. What every backend's attempt() comes down to.
inline long attempt_now(const Operation& operation) noexcept {
    return operation.verb->attempt(operation);
}

}  // namespace weir
