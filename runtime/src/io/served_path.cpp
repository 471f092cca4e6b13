// SPDX-License-Identifier: MIT
//
// Whether somebody serves a path is asked by connecting to it. A socket of another type than the one asked with
// answers EPROTOTYPE, so all three are tried.
#include "weir/io/served_path.hpp"

#include "io/unix_address.hpp"
#include "sys/calls.hpp"
#include "sys/lock_file.hpp"
#include "sys/ownership.hpp"

#include <cerrno>
#include <ctime>
#include <sys/stat.h>
#include <unistd.h>

namespace weir {
namespace {

enum class Found : std::uint8_t { nobody, somebody, perhaps };

// Whether the process that listens at the other end of `fd` has ended. Its socket can outlive it for a moment: the
// kernel takes down a killed process's io_uring, and the operation in it, only after the process was reaped.
bool listener_has_ended(int fd) noexcept {
    ucred peer{};
    if (sys::peer_credentials(fd, peer) < 0 || peer.pid <= 0) return false;
    const long opened = sys::open_peer_process(fd, peer.pid);
    if (opened < 0) return opened == -ESRCH;
    const Fd process(static_cast<int>(opened));
    return (sys::poll_now(process.get(), POLLIN) & POLLIN) != 0;
}

Found who_serves(const BoundedPath& path) noexcept {
    const sockaddr_un address = unix_address_of(path);
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
        const Fd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!probe) return Found::somebody;
        const long answer = sys::connect(probe.get(), generic(address), sizeof(address));
        if (answer == -EPROTOTYPE) continue;
        if (answer == -ECONNREFUSED) return Found::nobody;
        if (answer < 0) return Found::somebody;
        // The kernel does not say who bound a datagram socket.
        if (type == SOCK_DGRAM) return Found::perhaps;
        return listener_has_ended(probe.get()) ? Found::nobody : Found::somebody;
    }
    return Found::somebody;
}

bool is_served(const BoundedPath& path) noexcept {
    constexpr int looks_max = 50;
    constexpr timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
    Found found = who_serves(path);
    // We hold the lock, so this may be what a killed process leaves for a moment.
    for (int look = 0; found == Found::perhaps && look < looks_max; ++look) {
        ::nanosleep(&pause, nullptr);
        found = who_serves(path);
    }
    return found != Found::nobody;
}

// What lies at `path` although we hold its lock: a socket that a killed process left may go; anything else stays.
Result<void> remove_stale(const BoundedPath& path, const char* operation) noexcept {
    struct stat there {};
    if (::lstat(path.c_str(), &there) < 0) {
        if (errno == ENOENT) return {};
        return failure(Error::from_errno(operation, errno));
    }
    if (!S_ISSOCK(there.st_mode))
        return failure(Errc::invalid, "bind, where something that is no socket lies");
    if (is_served(path)) return failure(Errc::in_use, operation);
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) return failure(Error::from_errno(operation, errno));
    return {};
}

Result<void> bind_path(int fd, const BoundedPath& path, const PathOptions& options,
                       const char* operation) noexcept {
    const sockaddr_un address = unix_address_of(path);
    // The mode of the socket itself bounds that of the path from its first moment on; chmod then adds what the
    // umask took.
    if (::fchmod(fd, options.mode) < 0 || ::bind(fd, generic(address), sizeof(address)) < 0)
        return failure(Error::from_errno(operation, errno));
    const long set = sys::set_ownership(path.c_str(), options.owner, options.group, options.mode);
    if (set >= 0) return {};
    ::unlink(path.c_str());
    return failure(Error::from_errno(operation, static_cast<int>(-set)));
}

}  // namespace

ServedPath::ServedPath(ServedPath&& other) noexcept
    : lock_(std::move(other.lock_)), path_(std::exchange(other.path_, BoundedPath())) {}

ServedPath& ServedPath::operator=(ServedPath&& other) noexcept {
    if (this == &other) return *this;
    remove();
    lock_ = std::move(other.lock_);
    path_ = std::exchange(other.path_, BoundedPath());
    return *this;
}

Result<ServedPath> ServedPath::bind(int fd, std::string_view text, const PathOptions& options,
                                    const char* operation) noexcept {
    BoundedPath path(text);
    const auto fit = path.resolve(operation);
    if (!fit) return failure(fit.error());
    WEIR_TRY(Fd lock, sys::take_lock(path.c_str(), operation));
    Result<void> bound = remove_stale(path, operation);
    if (bound) bound = bind_path(fd, path, options, operation);
    if (!bound) {
        sys::remove_lock(path.c_str());
        return failure(bound.error());
    }
    ServedPath served;
    served.lock_ = std::move(lock);
    served.path_ = path;
    return served;
}

void ServedPath::remove() noexcept {
    if (path_.empty()) return;
    ::unlink(path_.c_str());
    sys::remove_lock(path_.c_str());
    leave();
}

void ServedPath::leave() noexcept {
    path_ = BoundedPath();
    lock_.close();
}

}  // namespace weir
