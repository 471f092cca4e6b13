// SPDX-License-Identifier: MIT
//
// Unix datagram sockets: whole messages, in order, between any number of senders and one receiver at a path.
#pragma once

#include "weir/io/message.hpp"
#include "weir/io/served_path.hpp"

namespace weir {

/// Nothing is lost between unix datagram sockets: a sender waits while the receiver's queue is full. Empty datagrams are
/// datagrams.
class UnixDatagram : public Handle {
public:
    UnixDatagram() noexcept = default;
    UnixDatagram(UnixDatagram&& other) noexcept = default;
    UnixDatagram& operator=(UnixDatagram&& other) noexcept;
    ~UnixDatagram() { close(); }

    /// Receives at `path`. It is locked, taken over and removed like a listener's (see ServedPath). Errors: in_use, denied,
    /// not_found, too_large, invalid, no_files.
    static Result<UnixDatagram> bind(std::string_view path, const PathOptions& options = {}) noexcept;
    /// Without a path: to send, and to be connected. Errors: no_files.
    static Result<UnixDatagram> open() noexcept;
    /// A connected pair without paths. Errors: no_files, no_memory.
    static Result<std::pair<UnixDatagram, UnixDatagram>> pair() noexcept;
    /// Takes over a datagram socket; its path is not removed. Errors: wrong_kind, closed.
    static Result<UnixDatagram> adopt(int fd) noexcept;

    /// From now on send() goes to `path`, and only what is sent from there is received. Does not wait. Errors: not_found,
    /// refused (nobody receives there), denied, wrong_kind (another type of socket), too_large, invalid (path).
    Result<void> connect(std::string_view path) noexcept;

    /// The next datagram, and the path of its sender, which is empty if it has none. Errors: overflow (a = its size, b =
    /// the buffer's; or it came with descriptors), busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] ReceiveFrom<BoundedPath> receive_from(Bytes buffer) noexcept;
    /// The same without the sender.
    [[nodiscard]] ReceiveMessage receive(Bytes buffer) noexcept;
    /// To `path`, whole or not at all. While the receiver's queue is full it tries again (after 0.1 ms, then ever less
    /// often, up to 10 ms): only a connected sender can be woken. Errors: as connect(), and too_large (a = its size),
    /// busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] SendTo<BoundedPath> send_to(ConstBytes datagram, std::string_view path) noexcept;
    /// To where it is connected. Errors: invalid (not connected), refused or peer_lost (the receiver is gone), too_large,
    /// busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] SendMessage send(ConstBytes datagram) noexcept;

    void close() noexcept;
    /// Gives the socket to the caller; its path stays, and the lock on it ends.
    [[nodiscard]] int release() noexcept;
    /// Absolute; empty without one of ours.
    [[nodiscard]] std::string_view path() const noexcept { return path_.view(); }

private:
    explicit UnixDatagram(Fd fd) noexcept : Handle(std::move(fd)) {}

    ServedPath path_;
};

}  // namespace weir
