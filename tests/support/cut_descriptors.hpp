// SPDX-License-Identifier: MIT
#pragma once

#include "catch.hpp"

#include <array>
#include <cstring>
#include <tuple>

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace weir::test {

/// Whether who receives a message learns that some of its descriptors had no room. Asked by plain system calls: qemu's
/// user mode forgets to tell.
inline bool kernel_tells_of_cut_descriptors() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    char byte = 'x';
    ::iovec part{.iov_base = &byte, .iov_len = 1};
    alignas(::cmsghdr) std::array<unsigned char, CMSG_SPACE(2 * sizeof(int))> control{};
    ::msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = CMSG_LEN(2 * sizeof(int));
    ::cmsghdr about{};
    about.cmsg_len = CMSG_LEN(2 * sizeof(int));
    about.cmsg_level = SOL_SOCKET;
    about.cmsg_type = SCM_RIGHTS;
    std::memcpy(control.data(), &about, sizeof(about));
    std::memcpy(control.data() + CMSG_LEN(0), ends, sizeof(ends));
    REQUIRE(::sendmsg(ends[0], &header, 0) == 1);

    control.fill(0);
    header.msg_controllen = CMSG_LEN(sizeof(int));  // room for one
    REQUIRE(::recvmsg(ends[1], &header, MSG_CMSG_CLOEXEC) == 1);
    int received = -1;
    std::memcpy(&received, control.data() + CMSG_LEN(0), sizeof(received));
    if (received > 0) ::close(received);
    ::close(ends[0]);
    ::close(ends[1]);
    return (header.msg_flags & MSG_CTRUNC) != 0;
}

constexpr int pass_rights_option = 83;  // SO_PASSRIGHTS

/// Whether the kernel can keep a peer's descriptors out of a socket's queue: Linux 6.16.
inline bool kernel_keeps_descriptors_out() {
    const int socket = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    REQUIRE(socket >= 0);
    const int no = 0;
    const bool can = ::setsockopt(socket, SOL_SOCKET, pass_rights_option, &no, sizeof(no)) == 0;
    ::close(socket);
    return can;
}

/// Every socket of this process lets descriptors in, as on an older kernel, and so does what it accepts.
inline void let_all_descriptors_in() {
    const int yes = 1;
    for (int fd = 0; fd < 256; ++fd)
        std::ignore = ::setsockopt(fd, SOL_SOCKET, pass_rights_option, &yes, sizeof(yes));
}

}  // namespace weir::test
