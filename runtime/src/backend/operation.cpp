// SPDX-License-Identifier: MIT
#include "weir/backend/operation.hpp"

#include "sys/calls.hpp"

#include "weir/sys/message.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>

namespace weir {
namespace {

// A descriptor that was inherited in blocking mode is left so, since the mode belongs to everyone who shares it.
// Then a poll says whether the call would wait; a write of up to PIPE_BUF bytes does not after POLLOUT.
long gate(const DescriptorEntry& entry, short events) noexcept {
    if (entry.nonblocking) return 0;
    const long seen = sys::poll_now(entry.fd, events);
    return seen == 0 ? -EAGAIN : seen < 0 ? seen : 0;
}

long attempt_read(const Operation& operation) noexcept {
    const DescriptorEntry& entry = *operation.entry;
    if (const long gated = gate(entry, POLLIN); gated < 0) return gated;
    return sys::read(entry.fd, operation.data, operation.size);
}

// A FIFO that had no writer yet reads as ended but does not poll as hung up: that tells the two apart.
long attempt_fifo_read(const Operation& operation) noexcept {
    const long result = attempt_read(operation);
    if (result != 0 || operation.size == 0) return result;
    const long events = sys::poll_now(operation.entry->fd, POLLIN);
    if (events < 0) return events;
    return events == 0 || (events & POLLIN) != 0 ? -EAGAIN : 0;
}

long attempt_write(const Operation& operation) noexcept {
    const DescriptorEntry& entry = *operation.entry;
    if (const long gated = gate(entry, POLLOUT); gated < 0) return gated;
    const std::size_t size_max = entry.nonblocking ? operation.size : PIPE_BUF;
    return sys::write(entry.fd, operation.data, std::min(operation.size, size_max));
}

long attempt_accept(const Operation& operation) noexcept {
    const DescriptorEntry& entry = *operation.entry;
    if (const long gated = gate(entry, POLLIN); gated < 0) return gated;
    return sys::accept(entry.fd);
}

long attempt_queue_receive(const Operation& operation) noexcept {
    const DescriptorEntry& entry = *operation.entry;
    if (const long gated = gate(entry, POLLIN); gated < 0) return gated;
    auto& message = *static_cast<QueueMessage*>(operation.data);
    return sys::queue_receive(entry.fd, message.bytes, message.size, message.priority);
}

long attempt_queue_send(const Operation& operation) noexcept {
    const DescriptorEntry& entry = *operation.entry;
    if (const long gated = gate(entry, POLLOUT); gated < 0) return gated;
    const auto& message = *static_cast<const QueueMessage*>(operation.data);
    return sys::queue_send(entry.fd, message.bytes, message.size, message.priority);
}

// A terminal says EIO once its other side has gone, but also when its hardware fails.
bool hung_up(const Operation& operation) noexcept {
    const long events = sys::poll_now(operation.entry->fd, POLLIN);
    return events > 0 && (events & POLLHUP) != 0;
}

long attempt_device_read(const Operation& operation) noexcept {
    const long result = attempt_read(operation);
    return result == -EIO && hung_up(operation) ? 0 : result;
}

long attempt_device_write(const Operation& operation) noexcept {
    const long result = attempt_write(operation);
    return result == -EIO && hung_up(operation) ? -EPIPE : result;
}

// Of a stream that gives all it has: a read that leaves room in its buffer has taken everything that epoll told of. What
// comes after that is told of again, so until then a try would be a system call in vain. Where more than bytes was told of
// it is made all the same: the end of the stream, say, may have been in that event. Installed faults cut reads.
long attempt_drain(const Operation& operation) noexcept {
    DescriptorEntry& entry = *operation.entry;
    if (entry.note == told_of::drained) return -EAGAIN;
    const long result = sys::receive(entry.fd, operation.data, operation.size);
    const bool left_room = result > 0 && static_cast<std::size_t>(result) < operation.size;
    if (left_room && entry.note == told_of::bytes && !sys::has_faults()) entry.note = told_of::drained;
    return result;
}

// A unix stream cuts a read short behind bytes with descriptors beside them, too, and what lies behind is not told of. So it
// is asked whether any can come, at a moment when it is empty: none that came before are left in it.
long attempt_receive(const Operation& operation) noexcept {
    DescriptorEntry& entry = *operation.entry;
    if (entry.drains) return attempt_drain(operation);
    const long result = sys::receive(entry.fd, operation.data, operation.size);
    if (result == -EAGAIN && entry.note == told_of::bytes && !entry.asked) {
        entry.asked = true;
        entry.drains = !sys::lets_descriptors_in(entry.fd);
    }
    return result;
}

long attempt_send(const Operation& operation) noexcept {
    return sys::send(operation.entry->fd, operation.data, operation.size);
}

long attempt_receive_message(const Operation& operation) noexcept {
    return sys::receive_message(operation.entry->fd, static_cast<sys::Message*>(operation.data)->header());
}

long attempt_send_message(const Operation& operation) noexcept {
    return sys::send_message(operation.entry->fd, static_cast<const sys::Message*>(operation.data)->header());
}

long seen_or_again(const Operation& operation, short wanted) noexcept {
    const long events = sys::poll_now(operation.entry->fd, wanted);
    return events == 0 ? -EAGAIN : events;
}

// Submitted only after connect(2) said EINPROGRESS: writable then means decided.
long attempt_connect(const Operation& operation) noexcept {
    const long events = seen_or_again(operation, POLLOUT);
    return events < 0 ? events : sys::connect_result(operation.entry->fd);
}

long attempt_readable(const Operation& operation) noexcept {
    return seen_or_again(operation, POLLIN | POLLPRI | POLLRDHUP);
}

long attempt_writable(const Operation& operation) noexcept {
    return seen_or_again(operation, POLLOUT);
}

}  // namespace

namespace verb_traits {

using Traits = Operation::Verb::Traits;
using Queue = Operation::Verb::Queue;

constexpr Traits read{attempt_read, Direction::in, Queue::read};
constexpr Traits write{attempt_write, Direction::out};
constexpr Traits receive{attempt_receive, Direction::in, Queue::receive};
constexpr Traits receive_tcp{attempt_drain, Direction::in, Queue::receive};
constexpr Traits send{attempt_send, Direction::out, Queue::send};
constexpr Traits receive_message{attempt_receive_message, Direction::in, Queue::receive_message};
constexpr Traits send_message{attempt_send_message, Direction::out};
constexpr Traits accept{attempt_accept, Direction::in};
constexpr Traits connect{attempt_connect, Direction::out};
constexpr Traits readable{attempt_readable, Direction::in};
constexpr Traits writable{attempt_writable, Direction::out};
constexpr Traits fifo_read{attempt_fifo_read, Direction::in};
constexpr Traits queue_receive{attempt_queue_receive, Direction::in};
constexpr Traits queue_send{attempt_queue_send, Direction::out};
constexpr Traits device_read{.attempt = attempt_device_read, .direction = Direction::in, .frames = true};
constexpr Traits device_write{.attempt = attempt_device_write, .direction = Direction::out, .frames = true};

}  // namespace verb_traits

}  // namespace weir
