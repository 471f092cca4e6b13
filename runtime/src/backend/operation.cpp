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

}  // namespace

long attempt_now(const Operation& operation) noexcept {
    const int fd = operation.entry->fd;
    switch (operation.verb) {
        case Operation::Verb::read: return attempt_read(operation);
        case Operation::Verb::fifo_read: return attempt_fifo_read(operation);
        case Operation::Verb::queue_receive: return attempt_queue_receive(operation);
        case Operation::Verb::queue_send: return attempt_queue_send(operation);
        case Operation::Verb::device_read: return attempt_device_read(operation);
        case Operation::Verb::device_write: return attempt_device_write(operation);
        case Operation::Verb::write: return attempt_write(operation);
        case Operation::Verb::receive: return sys::receive(fd, operation.data, operation.size);
        case Operation::Verb::send: return sys::send(fd, operation.data, operation.size);
        case Operation::Verb::receive_message:
            return sys::receive_message(fd, static_cast<sys::Message*>(operation.data)->header());
        case Operation::Verb::send_message:
            return sys::send_message(fd, static_cast<const sys::Message*>(operation.data)->header());
        case Operation::Verb::accept: return attempt_accept(operation);
        case Operation::Verb::connect: {
            // Submitted only after connect(2) said EINPROGRESS: writable then means decided.
            const long events = sys::poll_now(fd, POLLOUT);
            return events == 0 ? -EAGAIN : events < 0 ? events : sys::connect_result(fd);
        }
        case Operation::Verb::readable: {
            const long events = sys::poll_now(fd, POLLIN | POLLPRI | POLLRDHUP);
            return events == 0 ? -EAGAIN : events;
        }
        case Operation::Verb::writable: {
            const long events = sys::poll_now(fd, POLLOUT);
            return events == 0 ? -EAGAIN : events;
        }
    }
    return -EINVAL;
}

}  // namespace weir
