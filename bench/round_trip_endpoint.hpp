// SPDX-License-Identifier: MIT
//
// Round trip endpoint: the two loops around an endpoint that waits in its own way.
//
// An endpoint is a class with a constructor from `Ends`, `bool receive(ReceiveBuffer&)`, which is
// false at the end of the stream, and `void send(message)`. All of it is inlined: what is left is
// the loop that one would write by hand.

#pragma once

#include "round_trip.hpp"

#include <sys/socket.h>
#include <unistd.h>

namespace bench {

using Message = std::span<const std::byte, message_size>;

inline Message message_in(const ReceiveBuffer& buffer) {
    return std::span(buffer).first<message_size>();
}

struct PipeCalls {
    static ssize_t receive(int fd, ReceiveBuffer& buffer) { return ::read(fd, buffer.data(), buffer.size()); }
    static ssize_t send(int fd, Message message) { return ::write(fd, message.data(), message.size()); }
};

struct StreamCalls {
    static ssize_t receive(int fd, ReceiveBuffer& buffer) {
        return ::recv(fd, buffer.data(), buffer.size(), 0);
    }
    static ssize_t send(int fd, Message message) {
        return ::send(fd, message.data(), message.size(), MSG_NOSIGNAL);
    }
};

/// A message was sent whole and is alone on its way, so it arrives whole. Anything else but the
/// end of the stream ends the program.
inline bool is_message(ssize_t size) {
    if (size == static_cast<ssize_t>(message_size)) return true;
    if (size != 0) fail("receive");
    return false;
}

inline void check_sent(ssize_t size) {
    if (size != static_cast<ssize_t>(message_size)) fail("send");
}

template <class Endpoint>
void ask_on(Ends ends, Batches& batches) {
    Endpoint endpoint(ends);
    ReceiveBuffer buffer{};
    const Message message = message_in(buffer);
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            endpoint.send(message);
            if (!endpoint.receive(buffer)) fail("the echoing process has gone");
        }
    } while (batches.lap());
}

template <class Endpoint>
void echo_on(Ends ends) {
    Endpoint endpoint(ends);
    ReceiveBuffer buffer{};
    const Message message = message_in(buffer);
    while (endpoint.receive(buffer)) endpoint.send(message);
}

template <template <class> class Endpoint>
[[nodiscard]] Approach approach_on(Transport transport) {
    if (transport == Transport::pipe) {
        return {ask_on<Endpoint<PipeCalls>>, echo_on<Endpoint<PipeCalls>>};
    }
    return {ask_on<Endpoint<StreamCalls>>, echo_on<Endpoint<StreamCalls>>};
}

}  // namespace bench
