// SPDX-License-Identifier: MIT
//
// Unix stream sockets: connections, and the listener that makes them.
#pragma once

#include "weir/io/message.hpp"
#include "weir/io/served_path.hpp"
#include "weir/io/socket.hpp"

#include <string_view>

namespace weir {

extern const StreamVerbs unix_stream_verbs;

/// One connection. Move-only; its destructor closes at once, which lets the peer read what was sent, then the end
/// of the stream.
class UnixStream : public StreamSocket<unix_stream_verbs> {
public:
    UnixStream() noexcept = default;
    explicit UnixStream(Fd fd) noexcept : StreamSocket(std::move(fd)) {}

    /// Connects to the listener at `path`. While its backlog is full it tries again until the deadline, and if the
    /// options say so also while nobody serves there. Errors: not_found, refused (nobody listens), denied, too_large
    /// (path), invalid (a path that is empty or has a zero in it), wrong_kind (a socket of another type), cancelled,
    /// timed_out, no_files.
    [[nodiscard]] static ConnectUnix<UnixStream> connect(std::string_view path,
                                                         const ConnectOptions& options = {}) noexcept;
    /// A connected pair, close-on-exec. Errors: no_files, no_memory.
    static Result<std::pair<UnixStream, UnixStream>> pair() noexcept;
    /// Takes over a connected stream socket. Errors: wrong_kind, closed.
    static Result<UnixStream> adopt(int fd) noexcept;

    /// As read(), with the descriptors that came, at most place.size() and descriptors_per_message_max of them. More than
    /// that are overflow (b = room): then all of them are closed, and the bytes are in the buffer. A plain read() drops
    /// descriptors without a word. Besides: no_files.
    [[nodiscard]] ReceiveDescriptors read_with(Bytes buffer, std::span<Fd> place) noexcept;
    /// As write(), with at most descriptors_per_message_max descriptors, which come with the first of the bytes and stay
    /// the caller's. Errors: too_large (a = how many, b = limit), invalid (no bytes), and as write().
    [[nodiscard]] SendDescriptors write_with(ConstBytes bytes, std::span<const int> descriptors) noexcept;

    /// The peer's credentials at the time it connected, or listened. Errors: closed.
    [[nodiscard]] Result<Credentials> peer() const noexcept { return credentials("unix stream peer"); }
};

/// How a listener is made.
struct UnixListenerOptions {
    mode_t mode = 0600;       ///< of the path, exactly, whatever the umask
    int backlog = 16;         ///< connections that may wait to be accepted
    std::int64_t owner = -1;  ///< uid of the path; -1: as it comes
    std::int64_t group = -1;  ///< gid of the path; -1: as it comes
    /// False: from Linux 6.16 on the kernel takes no descriptors from clients, who get EPERM (`denied`) when they send
    /// some. Before, it takes them and a plain read() drops them, which may block.
    bool descriptors = true;
};

/// A listening socket with its path (see ServedPath): what listeners of every unix type have. Closing removes the path.
class UnixListenerSocket : public Handle {
public:
    UnixListenerSocket() noexcept = default;
    UnixListenerSocket(UnixListenerSocket&& other) noexcept = default;
    UnixListenerSocket& operator=(UnixListenerSocket&& other) noexcept;
    ~UnixListenerSocket() { close(); }

    void close() noexcept;
    /// Gives the listening socket to the caller; its path stays, and the lock on it ends.
    [[nodiscard]] int release() noexcept;
    /// Absolute.
    [[nodiscard]] std::string_view path() const noexcept { return path_.view(); }

protected:
    Result<void> listen_at(std::string_view path, int type, const UnixListenerOptions& options,
                           const char* operation) noexcept;

private:
    ServedPath path_;
};

class UnixListener : public UnixListenerSocket {
public:
    /// Listens at `path`. Errors: in_use (with the holder's pid in Error::a where it is known), denied, not_found
    /// (no such directory), too_large (path), invalid (something that is no socket lies there, or a path that is empty
    /// or has a zero in it).
    static Result<UnixListener> bind(std::string_view path, const UnixListenerOptions& options = {}) noexcept;
    /// Takes over a listening socket, e.g. from socket activation; its path is not removed. Errors: wrong_kind,
    /// closed.
    static Result<UnixListener> adopt(int fd) noexcept;

    /// The next connection. Without a free file descriptor it pauses and tries again, since the connection is
    /// still there. Errors: busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] Accept<UnixStream> accept() noexcept;
};

}  // namespace weir
