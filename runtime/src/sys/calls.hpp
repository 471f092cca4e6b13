// SPDX-License-Identifier: MIT
//
// System calls as the runtime uses them: a value, or the negative errno. EINTR is retried here and nowhere else;
// none of them blocks on a descriptor that would make it wait, except where its comment says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace weir::sys {

long read(int fd, void* data, std::size_t size) noexcept;
long write(int fd, const void* data, std::size_t size) noexcept;
/// recv and send with MSG_DONTWAIT, whatever the descriptor's own mode; send never raises SIGPIPE.
long receive(int fd, void* data, std::size_t size) noexcept;
long send(int fd, const void* data, std::size_t size) noexcept;
/// mq_receive and mq_send, on a non-blocking descriptor: the message's size, and 0.
long queue_receive(int fd, void* data, std::size_t size, std::uint32_t& priority) noexcept;
long queue_send(int fd, const void* data, std::size_t size, std::uint32_t priority) noexcept;
/// accept4 with CLOEXEC and NONBLOCK. Errors that belong to a peer that is already gone are passed over.
long accept(int fd) noexcept;
/// connect on a non-blocking socket: 0, or -EINPROGRESS, -EAGAIN (full backlog) and the like.
long connect(int fd, const sockaddr* address, socklen_t size) noexcept;
/// What a finished connect came to: 0 or the negative errno.
long connect_result(int fd) noexcept;
/// Who is at the other end of a connected unix socket: its pid, effective uid and gid when it connected, listened, or
/// made the pair. 0 or the negative errno; pid 0 where it lives in another pid namespace or is no such socket.
long peer_credentials(int fd, ucred& peer) noexcept;
/// A pidfd of that process, close-on-exec, or the negative errno: -ESRCH if it has ended. `pid` is the one of
/// peer_credentials(), for kernels before 6.5, where another process could have it by now.
long open_peer_process(int fd, pid_t pid) noexcept;
/// poll(2) of one descriptor without waiting: the events that are there now, 0 for none.
long poll_now(int fd, short events) noexcept;

/// Whether the kernel can wait for `fd` at all: not for files and directories, which poll(2) calls always ready.
bool pollable(int fd) noexcept;

/// Whether `fd` is a POSIX message queue.
bool is_message_queue(int fd) noexcept;

/// Whether a peer's descriptors get into the queue of a unix socket, and of those that it accepts from then on: if not, its
/// send fails with EPERM. Without effect before Linux 6.16, where all get in.
void let_descriptors_in(int fd, bool let) noexcept;
/// Whether they do.
bool lets_descriptors_in(int fd) noexcept;

/// Faults are installed in this thread: a call may do less than the kernel would.
bool has_faults() noexcept;

/// FD_CLOEXEC on, and O_NONBLOCK read or set; 0 or the negative errno.
long set_cloexec(int fd) noexcept;
long is_nonblocking(int fd) noexcept;
long set_nonblocking(int fd) noexcept;

}  // namespace weir::sys
