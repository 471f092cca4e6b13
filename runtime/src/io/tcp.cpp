// SPDX-License-Identifier: MIT
#include "weir/io/tcp.hpp"

#include "io/inet_socket.hpp"

#include <algorithm>
#include <cerrno>
#include <netinet/tcp.h>

namespace weir {
namespace {

constexpr Pending::Kind reading{"tcp read", &OperationWait::visit_fd};
constexpr Pending::Kind writing{"tcp write", &OperationWait::visit_fd};
constexpr Pending::Kind connecting{"tcp connect", &OperationWait::visit_fd};
constexpr Pending::Kind accepting{"tcp accept", &OperationWait::visit_fd};

// A number too large for the kernel stays so.
int seconds_of(std::chrono::seconds span) noexcept {
    return static_cast<int>(std::clamp<std::int64_t>(span.count(), -1, 1'000'000));
}

}  // namespace

constexpr StreamVerbs tcp_verbs{Operation::Verb::receive_tcp, Operation::Verb::send, &reading, &writing};

ConnectTcp TcpStream::connect(const SocketAddress& address) noexcept {
    return ConnectTcp(address);
}

Result<TcpStream> TcpStream::adopt(int fd) noexcept {
    return adopt_as<TcpStream>(fd, handle_kind::tcp_stream, "adopt tcp stream");
}

Result<SocketAddress> TcpStream::local() const noexcept {
    return inet_local(fd(), "tcp local address");
}
Result<SocketAddress> TcpStream::peer() const noexcept {
    return inet_peer(fd(), "tcp peer address");
}

Result<void> TcpStream::set_nodelay(bool on) noexcept {
    return set_option(fd(), IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0, "tcp nodelay");
}

Result<void> TcpStream::set_keepalive(const Keepalive& keepalive) noexcept {
    constexpr const char* operation = "tcp keepalive";
    Result<void> done = set_option(fd(), IPPROTO_TCP, TCP_KEEPIDLE, seconds_of(keepalive.idle), operation);
    if (done) done = set_option(fd(), IPPROTO_TCP, TCP_KEEPINTVL, seconds_of(keepalive.interval), operation);
    if (done) done = set_option(fd(), IPPROTO_TCP, TCP_KEEPCNT, keepalive.probes, operation);
    if (done) done = set_option(fd(), SOL_SOCKET, SO_KEEPALIVE, 1, operation);
    return done;
}

ConnectTcp::Wait::Wait(ConnectTcp&& connect) noexcept
    : ConnectWait(connecting, stream_), address_(connect.address_) {}

bool ConnectTcp::Wait::start(const Start& start) noexcept {
    auto fd = inet_socket(address_, SOCK_STREAM, name());
    if (!fd) {
        set_error(fd.error());
        return true;
    }
    stream_ = TcpStream(std::move(*fd));
    return connect_to(address_.raw(), address_.raw_size(), start);
}

Result<TcpStream> ConnectTcp::Wait::take() noexcept {
    const auto reached = connected();
    if (!reached) return failure(reached.error());
    return std::move(stream_);
}

Result<TcpListener> TcpListener::bind(const SocketAddress& address,
                                      const TcpListenerOptions& options) noexcept {
    constexpr const char* operation = "tcp bind";
    WEIR_TRY(Fd fd, inet_socket(address, SOCK_STREAM, operation));
    const auto bound = inet_bind(fd.get(), address, options.reuse_address, options.v6_only, operation);
    if (!bound) return failure(bound.error());
    if (::listen(fd.get(), options.backlog) < 0) return failure(Error::from_errno(operation, errno));
    return TcpListener(std::move(fd));
}

Result<TcpListener> TcpListener::adopt(int fd) noexcept {
    return adopt_as<TcpListener>(fd, handle_kind::tcp_listener, "adopt tcp listener");
}

Accept<TcpStream> TcpListener::accept() noexcept {
    return {*this, accepting};
}

Result<SocketAddress> TcpListener::local() const noexcept {
    return inet_local(fd(), "tcp local address");
}

}  // namespace weir
