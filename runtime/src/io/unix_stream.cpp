// SPDX-License-Identifier: MIT
//
// A full backlog answers EAGAIN at once, and polling such a socket says ready at once: there is nothing to wait on.
// So connect() pauses, a little longer each time, and tries again. The same pause serves accept() when the
// process has no descriptor left: the connection stays in the backlog meanwhile.
#include "weir/io/unix_stream.hpp"

#include "sys/calls.hpp"
#include "sys/lock_file.hpp"
#include "sys/path.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace weir {
namespace {

using namespace std::chrono_literals;

constexpr Pending::Kind reading{"unix stream read", &OperationWait::visit_fd};
constexpr Pending::Kind writing{"unix stream write", &OperationWait::visit_fd};
constexpr StreamVerbs verbs{Operation::Verb::receive, Operation::Verb::send, &reading, &writing};

constexpr Duration connect_pause_first = 500us;
constexpr Duration connect_pause_max = 20ms;
constexpr Duration accept_pause = 50ms;

static_assert(sizeof(sockaddr_un{}.sun_path) == ConnectUnix::path_max + 1);

Fd new_socket() noexcept {
    return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

sockaddr_un address_of(std::string_view path) noexcept {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), ConnectUnix::path_max));
    return address;
}

// Whether the process that listens at the other end of `fd` has ended. Its socket can outlive it for a moment: the
// kernel takes down a killed process's io_uring, and the accept in it, only after the process was reaped.
bool listener_has_ended(int fd) noexcept {
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0) return false;
    constexpr long pidfd_open_number = 434;  // the same on every architecture
    const Fd process(static_cast<int>(::syscall(pidfd_open_number, peer.pid, 0U)));
    if (!process) return errno == ESRCH;
    return (sys::poll_now(process.get(), POLLIN) & POLLIN) != 0;
}

// What lies at `path` although we hold its lock: a socket that a killed process left may go; anything else stays.
Result<void> remove_stale(const char* path) noexcept {
    struct stat there {};
    if (::lstat(path, &there) < 0) {
        if (errno == ENOENT) return {};
        return failure(Error::from_errno("unix bind", errno));
    }
    if (!S_ISSOCK(there.st_mode))
        return failure(Errc::invalid, "unix bind, where something that is no socket lies");
    // A server that knows nothing of our lock may still serve it.
    const Fd probe = new_socket();
    const sockaddr_un address = address_of(path);
    const long answer =
        probe ? sys::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address))
              : -errno;
    const bool stale = answer == -ECONNREFUSED || (answer == 0 && listener_has_ended(probe.get()));
    if (!stale) return failure(Errc::in_use, "unix bind");
    if (::unlink(path) < 0 && errno != ENOENT) return failure(Error::from_errno("unix bind", errno));
    return {};
}

Result<void> bind_path(int fd, const char* path, const UnixListenerOptions& options) noexcept {
    const sockaddr_un address = address_of(path);
    // The mode of the socket itself bounds that of the path from its first moment on; chmod then adds what the
    // umask took.
    if (::fchmod(fd, options.mode) < 0 ||
        ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
        return failure(Error::from_errno("unix bind", errno));
    }
    const auto owner = options.owner < 0 ? static_cast<uid_t>(-1) : static_cast<uid_t>(options.owner);
    const auto group = options.group < 0 ? static_cast<gid_t>(-1) : static_cast<gid_t>(options.group);
    if (::lchown(path, owner, group) < 0 || ::chmod(path, options.mode) < 0 ||
        ::listen(fd, options.backlog) < 0) {
        const Error error = Error::from_errno("unix bind", errno);
        ::unlink(path);
        return failure(error);
    }
    return {};
}

}  // namespace

// --- the connection

Result<std::pair<UnixStream, UnixStream>> UnixStream::pair() noexcept {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        return failure(Error::from_errno("socketpair", errno));
    }
    return std::pair(UnixStream(Fd(ends[0])), UnixStream(Fd(ends[1])));
}

Result<UnixStream> UnixStream::adopt(int fd) noexcept {
    return adopt_as<UnixStream>(fd, HandleKind::unix_stream, "adopt unix stream");
}

Read UnixStream::read(Bytes buffer) noexcept {
    return {*this, verbs, buffer};
}
ReadExactly UnixStream::read_exactly(Bytes buffer) noexcept {
    return {*this, verbs, buffer};
}
Write UnixStream::write(ConstBytes bytes) noexcept {
    return {*this, verbs, bytes};
}
WriteAll UnixStream::write_all(ConstBytes bytes) noexcept {
    return {*this, verbs, bytes};
}

Result<void> UnixStream::shutdown_write() noexcept {
    if (::shutdown(fd(), SHUT_WR) < 0) return failure(Error::from_errno("unix stream shutdown", errno));
    return {};
}

Result<Credentials> UnixStream::peer() const noexcept {
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (::getsockopt(fd(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) {
        return failure(Error::from_errno("unix stream peer", errno));
    }
    return Credentials{.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
}

// --- connecting

ConnectUnix UnixStream::connect(std::string_view path) noexcept {
    return ConnectUnix(path);
}

ConnectUnix::ConnectUnix(std::string_view path) noexcept : path_{}, path_size_(path.size()) {
    std::memcpy(path_.data(), path.data(), std::min(path.size(), path_max));
}

ConnectUnix::Wait::Wait(ConnectUnix&& connect) noexcept
    : PausingWait(kind, Operation::Verb::connect, retry),
      path_(connect.path_),
      path_size_(connect.path_size_),
      pause_(connect_pause_first) {}

// One connect(2); true if it is over, with its result.
bool ConnectUnix::Wait::connect_once() noexcept {
    const sockaddr_un address = address_of(path_.data());
    result = sys::connect(entry->fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    return result != -EAGAIN && result != -EINPROGRESS;
}

void ConnectUnix::Wait::pause_longer() noexcept {
    pause(pause_);
    pause_ = std::min(pause_ * 2, connect_pause_max);
}

bool ConnectUnix::Wait::start(const Start& start) noexcept {
    if (const auto wrong = sys::path_error({path_.data(), path_size_}, path_max, name())) {
        set_error(*wrong);
        return true;
    }
    Fd fd = new_socket();
    if (!fd) {
        set_error(Error::from_errno(name(), errno));
        return true;
    }
    stream_ = UnixStream(std::move(fd));
    if (!bind_to(stream_, start)) return true;
    if (connect_once()) return true;
    if (result == -EINPROGRESS) return submit_on(*entry, start);
    begin(start);
    pause_longer();
    return false;
}

bool ConnectUnix::Wait::retry(PausingWait& self) noexcept {
    auto& wait = static_cast<Wait&>(self);
    if (wait.connect_once()) return true;
    if (wait.result == -EINPROGRESS) return wait.again();
    wait.pause_longer();
    return false;
}

Result<UnixStream> ConnectUnix::Wait::take() noexcept {
    const auto got = outcome();
    if (!got) return failure(got.error());
    return std::move(stream_);
}

// --- listening

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
    if (this == &other) return *this;
    close();
    Handle::operator=(static_cast<Handle&&>(other));  // moves the base alone
    lock_ = std::move(other.lock_);
    path_ = other.path_;
    path_size_ = std::exchange(other.path_size_, 0);
    return *this;
}

Result<UnixListener> UnixListener::bind(std::string_view path, const UnixListenerOptions& options) noexcept {
    if (const auto wrong = sys::path_error(path, path_max, "unix bind")) return failure(*wrong);
    UnixListener listener;
    std::memcpy(listener.path_.data(), path.data(), path.size());
    const char* const name = listener.path_.data();
    WEIR_TRY(listener.lock_, sys::take_lock(name, "unix bind"));
    Fd fd = new_socket();
    Result<void> bound;
    if (!fd) bound = failure(Error::from_errno("unix bind", errno));
    if (bound) bound = remove_stale(name);
    if (bound) bound = bind_path(fd.get(), name, options);
    if (!bound) {
        sys::remove_lock(name);
        return failure(bound.error());
    }
    static_cast<Handle&>(listener) = Handle(std::move(fd));
    listener.path_size_ = path.size();  // from here on close() removes the path
    return listener;
}

Result<UnixListener> UnixListener::adopt(int fd) noexcept {
    return adopt_as<UnixListener>(fd, HandleKind::unix_listener, "adopt unix listener");
}

void UnixListener::close() noexcept {
    Handle::close();
    if (lock_ && path_size_ > 0) {
        ::unlink(path_.data());
        sys::remove_lock(path_.data());
    }
    path_size_ = 0;
    lock_.close();
}

int UnixListener::release() noexcept {
    path_size_ = 0;
    lock_.close();
    return Handle::release();
}

AcceptUnix UnixListener::accept() noexcept {
    return AcceptUnix(*this);
}

AcceptUnix::Wait::Wait(AcceptUnix&& accept) noexcept
    : PausingWait(kind, Operation::Verb::accept, retry), listener_(*accept.listener_) {
    set_continue(accepted);
}

bool AcceptUnix::Wait::out_of_files() const noexcept {
    return result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
}

bool AcceptUnix::Wait::start(const Start& start) noexcept {
    if (!start_on(listener_, start)) return false;
    if (!out_of_files()) return true;
    begin(start);
    pause(accept_pause);
    return false;
}

bool AcceptUnix::Wait::accepted(OperationWait& self, bool stopped) noexcept {
    auto& wait = static_cast<Wait&>(self);
    if (!wait.out_of_files()) return true;
    if (stopped) {
        wait.result = -ECANCELED;
        return true;
    }
    wait.pause(accept_pause);
    return false;
}

bool AcceptUnix::Wait::retry(PausingWait& self) noexcept {
    auto& wait = static_cast<Wait&>(self);
    if (!wait.again()) return false;
    if (!wait.out_of_files()) return true;
    wait.pause(accept_pause);
    return false;
}

Result<UnixStream> AcceptUnix::Wait::take() noexcept {
    const auto got = outcome();
    if (!got) return failure(got.error());
    return UnixStream(Fd(static_cast<int>(*got)));
}

}  // namespace weir
