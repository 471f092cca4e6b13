// SPDX-License-Identifier: MIT
#include "weir/io/socket.hpp"

#include "io/unix_address.hpp"
#include "sys/calls.hpp"

#include <algorithm>
#include <cerrno>

namespace weir {
namespace {

using namespace std::chrono_literals;

constexpr Duration connect_pause_first = 500us;
constexpr Duration connect_pause_max = 20ms;
constexpr Duration accept_pause = 50ms;

}  // namespace

Result<void> ConnectedSocket::shutdown_write() noexcept {
    if (::shutdown(fd(), SHUT_WR) < 0) return failure(Error::from_errno("socket shutdown", errno));
    return {};
}

Result<Credentials> ConnectedSocket::credentials(const char* operation) const noexcept {
    ucred peer{};
    const long asked = sys::peer_credentials(fd(), peer);
    if (asked < 0) return failure(Error::from_errno(operation, static_cast<int>(-asked)));
    return Credentials{.pid = peer.pid, .uid = peer.uid, .gid = peer.gid};
}

// --- accepting

AcceptWait::AcceptWait(const Pending::Kind& kind_of, Handle& listener) noexcept
    : PausingWait(kind_of, Operation::Verb::accept, retry), listener_(listener) {
    set_continue(came);
}

bool AcceptWait::out_of_files() const noexcept {
    return result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
}

bool AcceptWait::start(const Start& start) noexcept {
    if (!start_on(listener_, start)) return false;
    if (!out_of_files()) return true;
    begin(start);
    pause(accept_pause);
    return false;
}

bool AcceptWait::came(OperationWait& self, bool stopped) noexcept {
    auto& wait = static_cast<AcceptWait&>(self);
    if (!wait.out_of_files()) return true;
    if (stopped) {
        wait.result = -ECANCELED;
        return true;
    }
    wait.pause(accept_pause);
    return false;
}

bool AcceptWait::retry(PausingWait& self) noexcept {
    auto& wait = static_cast<AcceptWait&>(self);
    if (!wait.again()) return false;
    if (!wait.out_of_files()) return true;
    wait.pause(accept_pause);
    return false;
}

Result<Fd> AcceptWait::accepted() noexcept {
    const auto got = outcome();
    if (!got) return failure(got.error());
    return Fd(static_cast<int>(*got));
}

// --- connecting

ConnectWait::ConnectWait(const Pending::Kind& kind_of, Handle& socket, const ConnectOptions& options) noexcept
    : PausingWait(kind_of, Operation::Verb::connect, retry),
      socket_(socket),
      options_(options),
      pause_(connect_pause_first) {}

// One connect(2); true if it is over, with its result.
bool ConnectWait::connect_once() noexcept {
    result = sys::connect(entry->fd, address_, address_size_);
    // A unix socket stays as it was after such an answer, and may be connected again.
    if (options_.wait_for_server && (result == -ENOENT || result == -ECONNREFUSED)) result = -EAGAIN;
    return result != -EAGAIN && result != -EINPROGRESS;
}

void ConnectWait::pause_longer() noexcept {
    pause(pause_);
    pause_ = std::min(pause_ * 2, connect_pause_max);
}

bool ConnectWait::connect_to(const sockaddr* address, socklen_t address_size, const Start& start) noexcept {
    address_ = address;
    address_size_ = address_size;
    if (!bind_to(socket_, start)) return true;
    if (connect_once()) return true;
    if (result == -EINPROGRESS) return submit_on(*entry, start);
    begin(start);
    pause_longer();
    return false;
}

bool ConnectWait::retry(PausingWait& self) noexcept {
    auto& wait = static_cast<ConnectWait&>(self);
    if (wait.connect_once()) return true;
    if (wait.result == -EINPROGRESS) return wait.again();
    wait.pause_longer();
    return false;
}

Result<void> ConnectWait::connected() const noexcept {
    const auto got = outcome();
    if (got) return {};
    Error error = got.error();
    // There was no peer yet that could be lost.
    if (error.system_errno == ETIMEDOUT) error.code = Errc::unreachable;
    return failure(error);
}

ConnectPathWait::ConnectPathWait(const Pending::Kind& kind_of, Handle& socket, int type,
                                 const BoundedPath& path, const ConnectOptions& options) noexcept
    : ConnectWait(kind_of, socket, options), type_(type), socket_(socket) {
    BoundedPath absolute = path;
    const auto fit = absolute.resolve(name());
    if (fit) {
        address_ = unix_address_of(absolute);
    } else {
        set_error(fit.error());
    }
}

bool ConnectPathWait::start(const Start& start) noexcept {
    if (address_.sun_family != AF_UNIX) return true;  // the path was wrong
    Fd fd(::socket(AF_UNIX, type_ | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        set_error(Error::from_errno(name(), errno));
        return true;
    }
    socket_ = Handle(std::move(fd));
    return connect_to(generic(address_), sizeof(address_), start);
}

}  // namespace weir
