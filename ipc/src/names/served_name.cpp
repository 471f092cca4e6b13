// SPDX-License-Identifier: MIT
//
// A connect(2) by a socket of another type than the one at the path is refused by the kernel before the server hears of
// it, and differently for a path behind which there is nobody.
#include "names/served_name.hpp"

#include "names/bound_name.hpp"
#include "sys/calls.hpp"

#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace weir::ipc {
namespace {

constexpr const char* operation = "looking at a name";

Result<NameState> state_of(long status) noexcept {
    switch (-status) {
        case 0:             // a datagram socket, which is no server of ours
        case ECONNREFUSED:  // nobody, or no socket at all
        case EPERM: return NameState::stale;
        case EPROTOTYPE: return NameState::served;
        case ENOENT:
        case ENOTDIR: return NameState::absent;
        case EACCES: return NameState::denied;
        default: return failure(Error::from_errno(operation, static_cast<int>(-status)));
    }
}

}  // namespace

Result<NameState> look_at_path(const RuntimePath& path) noexcept {
    long status = 0;
    const Fd probe = connect_to_name(path, status, SOCK_DGRAM);
    return state_of(status);
}

Result<NameState> look_at_name(const RuntimeDirectory& directory, const Name& name) noexcept {
    WEIR_TRY(const RuntimePath path, directory.path_of(name, link_suffix));
    return look_at_path(path);
}

Result<ServedName> who_serves(const RuntimePath& path) noexcept {
    WEIR_TRY(const NameState state, look_at_path(path));
    if (state != NameState::served) return ServedName{.state = state, .process = {}};
    ServedName served{.state = state, .process = {}};
    long status = 0;
    const Fd socket = connect_to_name(path, status);
    if (status == -EAGAIN || status == -EINPROGRESS) return served;  // its backlog is full
    if (status == -EPROTOTYPE) status = -ECONNREFUSED;               // no server of ours
    if (status < 0) {
        WEIR_TRY(served.state, state_of(status));
        return served;
    }
    ucred peer{};
    if (sys::peer_credentials(socket.get(), peer) < 0) return served;
    served.pid = peer.pid;
    served.uid = peer.uid;
    const long process = sys::open_peer_process(socket.get(), peer.pid);
    if (process == -ESRCH) {
        served.state = NameState::stale;
    } else if (process == -EMFILE || process == -ENFILE) {
        return failure(Error::from_errno(operation, static_cast<int>(-process)));
    } else if (process >= 0) {
        served.process = Fd(static_cast<int>(process));
        if (sys::poll_now(served.process.get(), POLLIN) > 0) served.state = NameState::stale;
    }
    return served;
}

std::uint64_t mark_of(const char* path) noexcept {
    struct stat status {};
    if (::lstat(path, &status) < 0) return 0;
    // A file system may give the number of a file that is gone to the next one, but hardly at the same time of the clock.
    const auto born = static_cast<std::uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000 +
                      static_cast<std::uint64_t>(status.st_mtim.tv_nsec);
    const std::uint64_t mark = (born ^ (static_cast<std::uint64_t>(status.st_ino) << 32)) +
                               static_cast<std::uint64_t>(status.st_ino) * 0x9e37'79b9'7f4a'7c15;
    return mark | 1;
}

}  // namespace weir::ipc
