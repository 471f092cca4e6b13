// SPDX-License-Identifier: MIT
#include "weir/io/unix_seqpacket.hpp"

#include <cerrno>

namespace weir {
namespace {

constexpr Pending::Kind reading{"unix seqpacket read", &OperationWait::visit_fd};
constexpr Pending::Kind writing{"unix seqpacket write", &OperationWait::visit_fd};
constexpr Pending::Kind connecting{"unix seqpacket connect", &OperationWait::visit_fd};
constexpr Pending::Kind accepting{"unix seqpacket accept", &OperationWait::visit_fd};

}  // namespace

Result<std::pair<UnixSeqpacket, UnixSeqpacket>> UnixSeqpacket::pair() noexcept {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        return failure(Error::from_errno("socketpair", errno));
    }
    return std::pair(UnixSeqpacket(Fd(ends[0])), UnixSeqpacket(Fd(ends[1])));
}

Result<UnixSeqpacket> UnixSeqpacket::adopt(int fd) noexcept {
    return adopt_as<UnixSeqpacket>(fd, handle_kind::unix_seqpacket, "adopt unix seqpacket");
}

ConnectUnix<UnixSeqpacket> UnixSeqpacket::connect(std::string_view path,
                                                  const ConnectOptions& options) noexcept {
    return {path, SOCK_SEQPACKET, options, connecting};
}

ReceiveMessage UnixSeqpacket::read(Bytes buffer) noexcept {
    return {*this, reading, buffer};
}
SendMessage UnixSeqpacket::write(ConstBytes message) noexcept {
    return {*this, writing, message, 1};
}
ReceiveDescriptors UnixSeqpacket::read_with(Bytes buffer, std::span<Fd> place) noexcept {
    return {*this, reading, buffer, place};
}
SendDescriptors UnixSeqpacket::write_with(ConstBytes message, std::span<const int> descriptors) noexcept {
    return {*this, writing, message, descriptors};
}

Result<UnixSeqpacketListener> UnixSeqpacketListener::bind(std::string_view path,
                                                          const UnixListenerOptions& options) noexcept {
    UnixSeqpacketListener listener;
    const auto listens = listener.listen_at(path, SOCK_SEQPACKET, options, "unix seqpacket bind");
    if (!listens) return failure(listens.error());
    return listener;
}

Result<UnixSeqpacketListener> UnixSeqpacketListener::adopt(int fd) noexcept {
    return adopt_as<UnixSeqpacketListener>(fd, handle_kind::unix_seqpacket_listener,
                                           "adopt unix seqpacket listener");
}

Accept<UnixSeqpacket> UnixSeqpacketListener::accept() noexcept {
    return {*this, accepting};
}

}  // namespace weir
