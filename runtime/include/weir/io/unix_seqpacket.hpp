// SPDX-License-Identifier: MIT
//
// Unix seqpacket sockets: connections that carry whole messages, in order, and descriptors with them.
#pragma once

#include "weir/io/message.hpp"
#include "weir/io/unix_stream.hpp"

namespace weir {

/// One connection. An empty message cannot be told from the end: none is sent, and one that a foreign peer sends reads
/// as the end.
class UnixSeqpacket : public ConnectedSocket {
public:
    UnixSeqpacket() noexcept = default;
    explicit UnixSeqpacket(Fd fd) noexcept : ConnectedSocket(std::move(fd)) {}

    /// As UnixStream::connect; same errors.
    [[nodiscard]] static ConnectUnix<UnixSeqpacket> connect(std::string_view path,
                                                            const ConnectOptions& options = {}) noexcept;
    /// A connected pair, close-on-exec. Errors: no_files, no_memory.
    static Result<std::pair<UnixSeqpacket, UnixSeqpacket>> pair() noexcept;
    /// Takes over a connected seqpacket socket. Errors: wrong_kind, closed.
    static Result<UnixSeqpacket> adopt(int fd) noexcept;

    /// The next message, or an empty span when the peer has ended its side. Errors: overflow (a = the message's size, b =
    /// the buffer's; or it came with descriptors), peer_lost, busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] ReceiveMessage read(Bytes buffer) noexcept;
    /// One message, at least one byte long, which goes whole or not at all; waits while the peer has no room. Errors:
    /// too_large (a = its size; the kernel's send buffer bounds it), invalid (empty), peer_lost, busy, cancelled,
    /// timed_out, no_descriptor.
    [[nodiscard]] SendMessage write(ConstBytes message) noexcept;
    /// As read(), with the descriptors that came, at most place.size() and descriptors_per_message_max of them. More than
    /// that are overflow (b = room), and none that came with that message is kept. Besides: no_files.
    [[nodiscard]] ReceiveDescriptors read_with(Bytes buffer, std::span<Fd> place) noexcept;
    /// As write(), with at most descriptors_per_message_max descriptors, which stay the caller's. Errors: too_large (a =
    /// how many, b = limit; or the message), and as write(). Gives the message's size.
    [[nodiscard]] SendDescriptors write_with(ConstBytes message, std::span<const int> descriptors) noexcept;

    /// The peer's credentials at the time it connected, or listened. Errors: closed.
    [[nodiscard]] Result<Credentials> peer() const noexcept { return credentials("unix seqpacket peer"); }
};

/// Its listener; path, lock, and errors as those of UnixListener.
class UnixSeqpacketListener : public UnixListenerSocket {
public:
    static Result<UnixSeqpacketListener> bind(std::string_view path,
                                              const UnixListenerOptions& options = {}) noexcept;
    static Result<UnixSeqpacketListener> adopt(int fd) noexcept;
    [[nodiscard]] Accept<UnixSeqpacket> accept() noexcept;
};

}  // namespace weir
