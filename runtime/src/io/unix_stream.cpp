// SPDX-License-Identifier: MIT
#include "weir/io/unix_stream.hpp"

#include "sys/calls.hpp"

#include <cerrno>

namespace weir {
namespace {

constexpr Pending::Kind reading{"unix stream read", &OperationWait::visit_fd};
constexpr Pending::Kind writing{"unix stream write", &OperationWait::visit_fd};
constexpr Pending::Kind connecting{"unix connect", &OperationWait::visit_fd};
constexpr Pending::Kind accepting{"unix accept", &OperationWait::visit_fd};

}  // namespace

constexpr StreamVerbs unix_stream_verbs{Operation::Verb::receive, Operation::Verb::send, &reading, &writing};

Result<std::pair<UnixStream, UnixStream>> UnixStream::pair() noexcept {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        return failure(Error::from_errno("socketpair", errno));
    }
    return std::pair(UnixStream(Fd(ends[0])), UnixStream(Fd(ends[1])));
}

Result<UnixStream> UnixStream::adopt(int fd) noexcept {
    return adopt_as<UnixStream>(fd, handle_kind::unix_stream, "adopt unix stream");
}

ConnectUnix<UnixStream> UnixStream::connect(std::string_view path, const ConnectOptions& options) noexcept {
    return {path, SOCK_STREAM, options, connecting};
}

ReceiveDescriptors UnixStream::read_with(Bytes buffer, std::span<Fd> place) noexcept {
    return {*this, reading, buffer, place};
}
SendDescriptors UnixStream::write_with(ConstBytes bytes, std::span<const int> descriptors) noexcept {
    return {*this, writing, bytes, descriptors};
}

// --- listening

UnixListenerSocket& UnixListenerSocket::operator=(UnixListenerSocket&& other) noexcept {
    if (this == &other) return *this;
    close();
    Handle::operator=(static_cast<Handle&&>(other));  // moves the base alone
    path_ = std::move(other.path_);
    return *this;
}

Result<void> UnixListenerSocket::listen_at(std::string_view path, int type,
                                           const UnixListenerOptions& options,
                                           const char* operation) noexcept {
    Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return failure(Error::from_errno(operation, errno));
    const PathOptions made{.mode = options.mode, .owner = options.owner, .group = options.group};
    WEIR_TRY(ServedPath served, ServedPath::bind(fd.get(), path, made, operation));
    if (!options.descriptors) sys::let_descriptors_in(fd.get(), false);
    if (::listen(fd.get(), options.backlog) < 0) return failure(Error::from_errno(operation, errno));
    static_cast<Handle&>(*this) = Handle(std::move(fd));
    path_ = std::move(served);
    return {};
}

void UnixListenerSocket::close() noexcept {
    Handle::close();
    path_.remove();
}

int UnixListenerSocket::release() noexcept {
    path_.leave();
    return Handle::release();
}

Result<UnixListener> UnixListener::bind(std::string_view path, const UnixListenerOptions& options) noexcept {
    UnixListener listener;
    const auto listens = listener.listen_at(path, SOCK_STREAM, options, "unix bind");
    if (!listens) return failure(listens.error());
    return listener;
}

Result<UnixListener> UnixListener::adopt(int fd) noexcept {
    return adopt_as<UnixListener>(fd, handle_kind::unix_listener, "adopt unix listener");
}

Accept<UnixStream> UnixListener::accept() noexcept {
    return {*this, accepting};
}

}  // namespace weir
