// SPDX-License-Identifier: MIT
//
// Whoever holds the lock decides about the path. So a socket that lies there is one that a killed server left, and is
// replaced without asking it: the kernel may keep it alive for a moment after its process is gone.
//
// The path appears whole: the socket is bound beside it, gets its owner and mode, listens, and is then renamed. So nobody
// is refused or turned away by a server that just begins, and whoever is told of the path by inotify can attach at once.
#include "names/bound_name.hpp"

#include "names/served_name.hpp"
#include "sys/calls.hpp"
#include "sys/lock_file.hpp"
#include "sys/ownership.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

constexpr const char* operation = "serving a name";

static_assert(sizeof(sockaddr_un{}.sun_path) == RuntimePath::size_max + 1);

// Descriptors that a stranger sends die in our thread although we never take them, and the last close of a socket that
// lingers waits for as long as its owner chose. Who is accepted inherits this from the listener.
Fd new_socket(int type) noexcept {
    Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd) sys::let_descriptors_in(fd.get(), false);
    return fd;
}

sockaddr_un address_of(const RuntimePath& path) noexcept {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.view().size());
    return address;
}

Result<Fd> listen_at(const RuntimePath& path, const BoundNameOptions& options) noexcept {
    struct stat there {};
    if (::lstat(path.c_str(), &there) == 0 && !S_ISSOCK(there.st_mode))
        return failure(Errc::invalid, "serving a name, where something that is no socket lies");
    const RuntimePath begun = path.beside();
    if (::unlink(begun.c_str()) < 0 && errno != ENOENT) return failure(Error::from_errno(operation, errno));
    Fd fd = new_socket(SOCK_SEQPACKET);
    if (!fd) return failure(Error::from_errno(operation, errno));
    const sockaddr_un address = address_of(begun);
    // The socket's own mode bounds that of its path from the first moment on; chmod adds what the umask took.
    if (::fchmod(fd.get(), options.mode) < 0 ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
        return failure(Error::from_errno(operation, errno));
    }
    long status = sys::set_ownership(begun.c_str(), options.owner, options.group, options.mode);
    if (status == 0 && ::listen(fd.get(), options.backlog) < 0) status = -errno;
    if (status == 0 && ::rename(begun.c_str(), path.c_str()) < 0) status = -errno;
    if (status == 0) return fd;
    ::unlink(begun.c_str());
    return failure(Error::from_errno(operation, static_cast<int>(-status)));
}

}  // namespace

Result<BoundName> bind_name(const RuntimePath& path, const BoundNameOptions& options) noexcept {
    auto lock = sys::take_lock(path.c_str(), operation);
    if (!lock && lock.error() == Errc::denied) {
        // Another user's lock cannot even be asked for, but the kernel knows who listens.
        const auto holder = who_serves(path);
        if (holder && holder->state == NameState::served)
            return failure(Errc::in_use, operation, static_cast<std::uint64_t>(holder->pid));
    }
    if (!lock) return failure(lock.error());
    auto listener = listen_at(path, options);
    if (!listener) {
        sys::remove_lock(path.c_str());
        return failure(listener.error());
    }
    return BoundName{std::move(*lock), std::move(*listener)};
}

void remove_name(const RuntimePath& path) noexcept {
    ::unlink(path.c_str());
    sys::remove_lock(path.c_str());
}

Fd connect_to_name(const RuntimePath& path, long& status, int type) noexcept {
    Fd fd = new_socket(type);
    if (!fd) {
        status = -errno;
        return fd;
    }
    const sockaddr_un address = address_of(path);
    status = sys::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    return fd;
}

}  // namespace weir::ipc
