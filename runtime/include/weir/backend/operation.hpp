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

}  // namespace weir
