// SPDX-License-Identifier: MIT
//
// The table below is the only place where an errno is given a meaning. What is not in it stays
// Errc::system with its errno, so nothing is lost in translation.
#include "weir/core/error.hpp"

#include <cerrno>

namespace weir {
namespace {

Errc code_of(int value) noexcept {
    switch (value) {
        case ECANCELED: return Errc::cancelled;
        case EPIPE:
        case ECONNRESET:
        case ENOTCONN:   // it was, once
        case ETIMEDOUT:  // the peer's time to answer: weir's own deadlines never come as an errno
        case ECONNABORTED: return Errc::peer_lost;
        case ECONNREFUSED: return Errc::refused;
        case EHOSTUNREACH:
        case ENETUNREACH:
        case EHOSTDOWN:
        case ENETDOWN: return Errc::unreachable;
        case EADDRNOTAVAIL:
        case ENOENT:
        case ESRCH: return Errc::not_found;
        case EADDRINUSE:
        case EEXIST: return Errc::in_use;
        case EACCES:
        case EPERM: return Errc::denied;
        case EBUSY: return Errc::busy;
        case EAGAIN: return Errc::would_block;
        case EINVAL:
        case EISDIR:
        case EDESTADDRREQ:
        case EISCONN:
        case ENOTDIR: return Errc::invalid;
        case ENAMETOOLONG:
        case EMSGSIZE:
        case E2BIG: return Errc::too_large;
        case EMFILE:
        case ENFILE: return Errc::no_files;
        case ENOMEM:
        case ENOBUFS:
        case ENOSPC: return Errc::no_memory;
        case ENXIO: return Errc::no_reader;
        case EPROTOTYPE: return Errc::wrong_kind;
        case EAFNOSUPPORT:
        case ENOSYS:
        case EOPNOTSUPP: return Errc::unsupported;
        case EBADF: return Errc::closed;
        default: return Errc::system;
    }
}

}  // namespace

Error Error::from_errno(const char* operation, int value) noexcept {
    return {.code = code_of(value), .system_errno = value, .operation = operation, .a = 0, .b = 0};
}

}  // namespace weir
