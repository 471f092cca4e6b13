// SPDX-License-Identifier: MIT
//
// What sockets of several kinds share: ending one side, knowing the peer, accepting, connecting.
#pragma once

#include "weir/io/transfer.hpp"
#include "weir/sys/path.hpp"

#include <cstdint>
#include <sys/socket.h>
#include <sys/un.h>

namespace weir {

/// Who a peer is, as the kernel says.
struct Credentials {
    std::int32_t pid = 0;   ///< 0 where the peer lives in another pid namespace
    std::uint32_t uid = 0;  ///< effective
    std::uint32_t gid = 0;  ///< effective
};

/// A connected socket of any kind.
class ConnectedSocket : public Handle {
public:
    using Handle::Handle;

    /// Ends this side: the peer reads the end of the stream after everything written. Reading goes on. Does not wait.
    /// Errors: closed, peer_lost (the connection is gone already).
    Result<void> shutdown_write() noexcept;

protected:
    [[nodiscard]] Result<Credentials> credentials(const char* operation) const noexcept;
};

/// One that carries a byte stream.
template <const StreamVerbs& verbs>
class StreamSocket : public ConnectedSocket {
public:
    using ConnectedSocket::ConnectedSocket;

    /// At least one byte, or an empty span when the peer has ended its side. Errors: peer_lost, busy, cancelled,
    /// timed_out, no_descriptor.
    [[nodiscard]] Read read(Bytes buffer) noexcept { return {*this, verbs, buffer}; }
    /// The whole buffer. Besides: ended if the stream ends before, with the bytes that came in Error::a.
    [[nodiscard]] ReadExactly read_exactly(Bytes buffer) noexcept { return {*this, verbs, buffer}; }
    /// As many bytes as fit, at least one. Errors: peer_lost, busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] Write write(ConstBytes bytes) noexcept { return {*this, verbs, bytes}; }
    /// All bytes; after an error Error::a says how many were taken by the kernel. Errors as write(). No bytes:
    /// succeeds at once.
    [[nodiscard]] WriteAll write_all(ConstBytes bytes) noexcept { return {*this, verbs, bytes}; }
};

/// The Wait of an accept. Without a free descriptor it pauses: the connection stays in the backlog meanwhile.
class AcceptWait : public PausingWait {
public:
    bool start(const Start& start) noexcept;

protected:
    AcceptWait(const Pending::Kind& kind_of, Handle& listener) noexcept;
    ~AcceptWait() = default;
    Result<Fd> accepted() noexcept;

private:
    static bool retry(PausingWait& self) noexcept;
    static bool came(OperationWait& self, bool stopped) noexcept;
    [[nodiscard]] bool out_of_files() const noexcept;

    Handle& listener_;
};

/// What a listener's accept() returns.
template <class Connection>
class [[nodiscard]] Accept : public Awaitable<Accept<Connection>> {
public:
    using Outcome = Result<Connection>;
    Accept(Handle& listener, const Pending::Kind& kind) noexcept : listener_(&listener), kind_(&kind) {}

    class Wait : public AcceptWait {
    public:
        explicit Wait(Accept&& accept) noexcept : AcceptWait(*accept.kind_, *accept.listener_) {}
        Outcome take() noexcept {
            WEIR_TRY(Fd fd, accepted());
            return Connection(std::move(fd));
        }
    };

private:
    Handle* listener_;
    const Pending::Kind* kind_;
};

/// How a connection to a path is made.
struct ConnectOptions {
    /// While nothing lies at the path, or nobody listens there, to try again until the deadline instead of saying
    /// not_found or refused: for programs that are started in any order.
    bool wait_for_server = false;
};

/// The Wait of a connect. A full unix backlog answers at once, and there is nothing to wait on: it pauses, a little
/// longer each time, and tries again; the same where it waits for a server.
class ConnectWait : public PausingWait {
protected:
    ConnectWait(const Pending::Kind& kind_of, Handle& socket, const ConnectOptions& options = {}) noexcept;
    ~ConnectWait() = default;
    /// `address` lives in the derived class; `socket` was put into the handle.
    bool connect_to(const sockaddr* address, socklen_t address_size, const Start& start) noexcept;
    [[nodiscard]] Result<void> connected() const noexcept;

private:
    static bool retry(PausingWait& self) noexcept;
    bool connect_once() noexcept;
    void pause_longer() noexcept;

    Handle& socket_;
    const sockaddr* address_ = nullptr;
    socklen_t address_size_ = 0;
    ConnectOptions options_;
    Duration pause_;
};

/// The same to a path, by a socket of any unix type.
class ConnectPathWait : public ConnectWait {
public:
    bool start(const Start& start) noexcept;

protected:
    ConnectPathWait(const Pending::Kind& kind_of, Handle& socket, int type, const BoundedPath& path,
                    const ConnectOptions& options) noexcept;
    ~ConnectPathWait() = default;

private:
    int type_;
    Handle& socket_;
    sockaddr_un address_{};
};

/// What connect(path) of UnixStream and UnixSeqpacket returns. Keeps its own copy of the path.
template <class Connection>
class [[nodiscard]] ConnectUnix : public Awaitable<ConnectUnix<Connection>> {
public:
    using Outcome = Result<Connection>;
    ConnectUnix(std::string_view path, int type, const ConnectOptions& options,
                const Pending::Kind& kind) noexcept
        : path_(path), type_(type), options_(options), kind_(&kind) {}

    class Wait : public ConnectPathWait {
    public:
        explicit Wait(ConnectUnix&& connect) noexcept
            : ConnectPathWait(*connect.kind_, connection_, connect.type_, connect.path_, connect.options_) {}
        Outcome take() noexcept {
            const auto reached = this->connected();
            if (!reached) return failure(reached.error());
            return std::move(connection_);
        }

    private:
        Connection connection_;
    };

private:
    BoundedPath path_;
    int type_;
    ConnectOptions options_;
    const Pending::Kind* kind_;
};

}  // namespace weir
