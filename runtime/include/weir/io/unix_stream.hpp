// SPDX-License-Identifier: MIT
//
// Unix stream sockets: connections, and the listener that makes them.
#pragma once

#include "weir/io/transfer.hpp"

#include <cstdint>
#include <string_view>
#include <sys/types.h>

namespace weir {

/// Who a peer is, as the kernel says.
struct Credentials {
    std::int32_t pid = 0;   ///< 0 where the peer lives in another pid namespace
    std::uint32_t uid = 0;  ///< effective
    std::uint32_t gid = 0;  ///< effective
};

class ConnectUnix;

/// One connection. Move-only; its destructor closes at once, which lets the peer read what was sent, then the end
/// of the stream.
class UnixStream : public Handle {
public:
    UnixStream() noexcept = default;
    explicit UnixStream(Fd fd) noexcept : Handle(std::move(fd)) {}

    /// Connects to the listener at `path`. While its backlog is full it tries again until the deadline. Errors:
    /// not_found, refused (nobody listens), denied, too_large (path), invalid (a path that is empty or has a zero in
    /// it), cancelled, timed_out, no_files.
    [[nodiscard]] static ConnectUnix connect(std::string_view path) noexcept;
    /// A connected pair, close-on-exec. Errors: no_files, no_memory.
    static Result<std::pair<UnixStream, UnixStream>> pair() noexcept;
    /// Takes over a connected stream socket. Errors: wrong_kind, closed.
    static Result<UnixStream> adopt(int fd) noexcept;

    /// At least one byte, or an empty span when the peer has ended its side. Errors: peer_lost, busy, cancelled,
    /// timed_out, no_descriptor.
    [[nodiscard]] Read read(Bytes buffer) noexcept;
    /// The whole buffer. Besides: ended if the stream ends before, with the bytes that came in Error::a.
    [[nodiscard]] ReadExactly read_exactly(Bytes buffer) noexcept;
    /// As many bytes as fit, at least one. Errors: peer_lost, busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] Write write(ConstBytes bytes) noexcept;
    /// All bytes; after an error Error::a says how many were taken by the kernel. Errors as write(). No bytes:
    /// succeeds at once.
    [[nodiscard]] WriteAll write_all(ConstBytes bytes) noexcept;

    /// Ends this side: the peer reads the end of the stream after everything written. Reading goes on. Does not wait.
    /// Errors: closed.
    Result<void> shutdown_write() noexcept;
    /// The peer's credentials at the time it connected, or listened. Errors: closed.
    [[nodiscard]] Result<Credentials> peer() const noexcept;
};

/// What UnixStream::connect returns. Keeps its own copy of the path.
class [[nodiscard]] ConnectUnix : public Awaitable<ConnectUnix> {
public:
    using Outcome = Result<UnixStream>;
    static constexpr std::size_t path_max = 107;

    explicit ConnectUnix(std::string_view path) noexcept;

    class Wait : public PausingWait {
    public:
        explicit Wait(ConnectUnix&& connect) noexcept;
        bool start(const Start& start) noexcept;
        Result<UnixStream> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"unix connect", &visit_fd};
        static bool retry(PausingWait& self) noexcept;
        bool connect_once() noexcept;
        void pause_longer() noexcept;

        std::array<char, path_max + 1> path_;
        std::size_t path_size_;
        UnixStream stream_;
        Duration pause_;
    };

private:
    std::array<char, path_max + 1> path_;
    std::size_t path_size_;  // more than path_max: too long
};

/// How a listener's path is made.
struct UnixListenerOptions {
    mode_t mode = 0600;       ///< of the path, exactly, whatever the umask
    int backlog = 16;         ///< connections that may wait to be accepted
    std::int64_t owner = -1;  ///< uid of the path; -1: as it comes
    std::int64_t group = -1;  ///< gid of the path; -1: as it comes
};

class AcceptUnix;

/// A listening socket with its path. While it lives it holds a lock on `PATH.lock`; that tells a path that a
/// killed process left, which is taken over, from one in use. Closing removes both.
class UnixListener : public Handle {
public:
    static constexpr std::size_t path_max = ConnectUnix::path_max;

    UnixListener() noexcept = default;
    UnixListener(UnixListener&& other) noexcept = default;
    UnixListener& operator=(UnixListener&& other) noexcept;
    ~UnixListener() { close(); }

    /// Listens at `path`. Errors: in_use (with the holder's pid in Error::a where it is known), denied, not_found
    /// (no such directory), too_large (path), invalid (something that is no socket lies there, or a path that is empty
    /// or has a zero in it).
    static Result<UnixListener> bind(std::string_view path, const UnixListenerOptions& options = {}) noexcept;
    /// Takes over a listening socket, e.g. from socket activation; its path is not removed. Errors: wrong_kind,
    /// closed.
    static Result<UnixListener> adopt(int fd) noexcept;

    /// The next connection. Without a free file descriptor it pauses and tries again, since the connection is
    /// still there. Errors: busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] AcceptUnix accept() noexcept;

    void close() noexcept;
    /// Gives the listening socket to the caller; its path stays, and the lock on it ends.
    [[nodiscard]] int release() noexcept;
    [[nodiscard]] std::string_view path() const noexcept { return {path_.data(), path_size_}; }

private:
    Fd lock_;
    std::array<char, path_max + 1> path_{};
    std::size_t path_size_ = 0;
};

/// What UnixListener::accept returns.
class [[nodiscard]] AcceptUnix : public Awaitable<AcceptUnix> {
public:
    using Outcome = Result<UnixStream>;
    explicit AcceptUnix(UnixListener& listener) noexcept : listener_(&listener) {}

    class Wait : public PausingWait {
    public:
        explicit Wait(AcceptUnix&& accept) noexcept;
        bool start(const Start& start) noexcept;
        Result<UnixStream> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"unix accept", &visit_fd};
        static bool retry(PausingWait& self) noexcept;
        static bool accepted(OperationWait& self, bool stopped) noexcept;
        [[nodiscard]] bool out_of_files() const noexcept;

        UnixListener& listener_;
    };

private:
    UnixListener* listener_;
};

}  // namespace weir
