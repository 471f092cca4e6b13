// SPDX-License-Identifier: MIT
//
// One message of a socket, as sendmsg(2) and recvmsg(2) see it: bytes, an address, and descriptors that travel along.
//
// Descriptors are copied by the kernel when the message is sent: the sender keeps its own. Received ones are
// close-on-exec.
#pragma once

#include "weir/sys/fd.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <sys/socket.h>

namespace weir::sys {

/// How many descriptors go with one message at most. (The kernel's own limit is 253.)
inline constexpr std::size_t message_descriptors_max = 8;

/// Points into itself: pinned.
class Message {
public:
    /// `data` lives as long as the message, and is only read from when it is sent.
    Message(const void* data, std::size_t size) noexcept
        : piece_{.iov_base = const_cast<void*>(data), .iov_len = size} {
        header_.msg_iov = &piece_;
        header_.msg_iovlen = 1;
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;

    /// Where it goes, or room for where it comes from.
    void set_address(void* address, socklen_t size) noexcept {
        header_.msg_name = address;
        header_.msg_namelen = size;
    }
    [[nodiscard]] msghdr& header() noexcept { return header_; }
    [[nodiscard]] const msghdr& header() const noexcept { return header_; }
    [[nodiscard]] std::size_t size() const noexcept { return piece_.iov_len; }

    /// After it was received: the bytes did not fit, and the rest of them is gone.
    [[nodiscard]] bool bytes_cut() const noexcept { return (header_.msg_flags & MSG_TRUNC) != 0; }
    /// After it was received: more descriptors came than there was room for, or than the process may have; the kernel
    /// closed the others.
    [[nodiscard]] bool descriptors_cut() const noexcept { return (header_.msg_flags & MSG_CTRUNC) != 0; }

protected:
    ~Message() = default;

private:
    msghdr header_{};
    iovec piece_;
};

/// Without descriptors, and without room for any.
class PlainMessage : public Message {
public:
    using Message::Message;
};

/// With up to message_descriptors_max descriptors.
class DescriptorMessage : public Message {
public:
    using Message::Message;

    /// To be sent: at most message_descriptors_max, which stay open until it was.
    void attach(std::span<const int> descriptors) noexcept;
    /// To be received: room for so many, at most message_descriptors_max. Without room for any, those that come are
    /// closed by the kernel.
    void make_room(std::size_t descriptors) noexcept;
    /// Puts those that came into `into`, closes what finds no place there, and says how many there are. Called once
    /// after each receive that succeeded: nobody else owns them.
    std::size_t take(std::span<Fd> into) noexcept;

private:
    static constexpr std::size_t control_size = CMSG_SPACE(message_descriptors_max * sizeof(int));

    alignas(cmsghdr) std::array<std::byte, control_size> control_{};
};

/// sendmsg and recvmsg with MSG_DONTWAIT, whatever the descriptor's own mode: bytes, or the negative errno. Sending
/// never raises SIGPIPE. Receiving says how long a datagram was, even if that is more than there was room for; it is not
/// for TCP, which understands MSG_TRUNC differently.
inline constexpr int receive_message_flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC;
long send_message(int fd, const msghdr& header) noexcept;
long receive_message(int fd, msghdr& header) noexcept;
/// The same, but the message stays there. Without room for its descriptors it still tells whether it has any, and drops
/// none: each stays open with the message.
long peek_message(int fd, msghdr& header) noexcept;

}  // namespace weir::sys
