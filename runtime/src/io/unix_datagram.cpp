// SPDX-License-Identifier: MIT
#include "weir/io/unix_datagram.hpp"

#include "io/unix_address.hpp"
#include "sys/calls.hpp"

#include <cerrno>

namespace weir {
namespace {

constexpr Pending::Kind receiving{"unix datagram receive", &OperationWait::visit_fd};
constexpr Pending::Kind sending{"unix datagram send", &OperationWait::visit_fd};

Result<Fd> new_socket(const char* operation) noexcept {
    Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return failure(Error::from_errno(operation, errno));
    return fd;
}

}  // namespace

UnixDatagram& UnixDatagram::operator=(UnixDatagram&& other) noexcept {
    if (this == &other) return *this;
    close();
    Handle::operator=(static_cast<Handle&&>(other));  // moves the base alone
    path_ = std::move(other.path_);
    return *this;
}

Result<UnixDatagram> UnixDatagram::bind(std::string_view path, const PathOptions& options) noexcept {
    WEIR_TRY(Fd fd, new_socket("unix datagram bind"));
    WEIR_TRY(ServedPath served, ServedPath::bind(fd.get(), path, options, "unix datagram bind"));
    UnixDatagram made(std::move(fd));
    made.path_ = std::move(served);
    return made;
}

Result<UnixDatagram> UnixDatagram::open() noexcept {
    WEIR_TRY(Fd fd, new_socket("unix datagram open"));
    return UnixDatagram(std::move(fd));
}

Result<std::pair<UnixDatagram, UnixDatagram>> UnixDatagram::pair() noexcept {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        return failure(Error::from_errno("socketpair", errno));
    }
    return std::pair(UnixDatagram(Fd(ends[0])), UnixDatagram(Fd(ends[1])));
}

Result<UnixDatagram> UnixDatagram::adopt(int fd) noexcept {
    return adopt_as<UnixDatagram>(fd, handle_kind::unix_datagram, "adopt unix datagram");
}

Result<void> UnixDatagram::connect(std::string_view path) noexcept {
    constexpr const char* operation = "unix datagram connect";
    BoundedPath absolute(path);
    const auto fit = absolute.resolve(operation);
    if (!fit) return fit;
    const sockaddr_un address = unix_address_of(absolute);
    const long connected = sys::connect(fd(), generic(address), sizeof(address));
    if (connected < 0) return failure(Error::from_errno(operation, static_cast<int>(-connected)));
    return {};
}

ReceiveFrom<BoundedPath> UnixDatagram::receive_from(Bytes buffer) noexcept {
    return {*this, receiving, buffer};
}
ReceiveMessage UnixDatagram::receive(Bytes buffer) noexcept {
    return {*this, receiving, buffer};
}
SendTo<BoundedPath> UnixDatagram::send_to(ConstBytes datagram, std::string_view path) noexcept {
    return {*this, sending, datagram, BoundedPath(path)};
}
SendMessage UnixDatagram::send(ConstBytes datagram) noexcept {
    return {*this, sending, datagram, 0};
}

void UnixDatagram::close() noexcept {
    Handle::close();
    path_.remove();
}

int UnixDatagram::release() noexcept {
    path_.leave();
    return Handle::release();
}

}  // namespace weir
