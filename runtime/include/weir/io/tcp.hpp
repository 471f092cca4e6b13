// SPDX-License-Identifier: MIT
//
// TCP: connections, and the listener that makes them. Addresses are SocketAddress, IPv4 or IPv6.
#pragma once

#include "weir/io/socket.hpp"
#include "weir/io/socket_address.hpp"

namespace weir {

extern const StreamVerbs tcp_verbs;

/// When an idle connection is found dead: probes begin after `idle`, one each `interval`, and `probes` in vain end it
/// (peer_lost). In whole seconds, at least 1.
struct Keepalive {
    std::chrono::seconds idle{60};
    std::chrono::seconds interval{10};
    int probes = 3;
};

class ConnectTcp;

/// One connection. Move-only; its destructor closes at once: what was written is still sent, but if something had come
/// that was not read, the kernel resets the connection. peer_lost is also a peer that did not acknowledge in time.
class TcpStream : public StreamSocket<tcp_verbs> {
public:
    TcpStream() noexcept = default;
    explicit TcpStream(Fd fd) noexcept : StreamSocket(std::move(fd)) {}

    /// Connects to `address`. Errors: refused, unreachable (no route, or nobody answered within the kernel's patience of
    /// minutes), denied (a firewall of ours), not_found (no local port is free), unsupported (no IPv6 here), invalid (an
    /// empty address), cancelled, timed_out, no_files, no_descriptor.
    [[nodiscard]] static ConnectTcp connect(const SocketAddress& address) noexcept;
    /// Takes over a connected TCP socket. Errors: wrong_kind, closed.
    static Result<TcpStream> adopt(int fd) noexcept;

    /// Errors of these: closed; peer() also peer_lost, when the connection is gone.
    [[nodiscard]] Result<SocketAddress> local() const noexcept;
    [[nodiscard]] Result<SocketAddress> peer() const noexcept;
    /// Small writes go at once instead of waiting for what they may be joined with; the kernel's default is off. Errors:
    /// closed.
    Result<void> set_nodelay(bool on) noexcept;
    /// Probes of idle connections; the kernel's default is none. Errors: closed, invalid (less than 1, or more than the
    /// kernel takes: 32,767 s and 127 probes).
    Result<void> set_keepalive(const Keepalive& keepalive) noexcept;
};

/// What TcpStream::connect returns.
class [[nodiscard]] ConnectTcp : public Awaitable<ConnectTcp> {
public:
    using Outcome = Result<TcpStream>;
    explicit ConnectTcp(const SocketAddress& address) noexcept : address_(address) {}

    class Wait : public ConnectWait {
    public:
        explicit Wait(ConnectTcp&& connect) noexcept;
        bool start(const Start& start) noexcept;
        Outcome take() noexcept;

    private:
        SocketAddress address_;
        TcpStream stream_;
    };

private:
    SocketAddress address_;
};

struct TcpListenerOptions {
    int backlog = 16;           ///< connections that may wait to be accepted
    bool reuse_address = true;  ///< bind although old connections of this port have not faded (SO_REUSEADDR)
    bool v6_only = false;       ///< [::] takes no IPv4; otherwise such peers come as IPv4-mapped addresses
};

class TcpListener : public Handle {
public:
    TcpListener() noexcept = default;
    explicit TcpListener(Fd fd) noexcept : Handle(std::move(fd)) {}

    /// Listens at `address`; port 0 lets the kernel choose, and local() tells. Errors: in_use, denied (a port that needs
    /// privilege), not_found (no address of this host), unsupported (no IPv6 here), invalid (empty), no_files.
    static Result<TcpListener> bind(const SocketAddress& address,
                                    const TcpListenerOptions& options = {}) noexcept;
    /// Takes over a listening socket, e.g. from socket activation. Errors: wrong_kind, closed.
    static Result<TcpListener> adopt(int fd) noexcept;

    /// The next connection. Without a free file descriptor it pauses and tries again. Errors: busy, cancelled, timed_out,
    /// no_descriptor.
    [[nodiscard]] Accept<TcpStream> accept() noexcept;
    /// Errors: closed.
    [[nodiscard]] Result<SocketAddress> local() const noexcept;
};

}  // namespace weir
