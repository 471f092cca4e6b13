// SPDX-License-Identifier: MIT
//
// Who is let in: connections are taken no faster than their rate, each user that is not trusted has its own, and whoever
// says nothing makes room for others. What a client then says is link_handshake.cpp's.
#include "shm/link_end.hpp"

#include "names/bound_name.hpp"
#include "shm/slow_calls.hpp"
#include "sys/calls.hpp"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

using namespace std::chrono_literals;

constexpr Duration files_pause = 50ms;  // as accept() of the listeners: the connections stay in the backlog
constexpr Duration slot_pause = 1ms;    // a slot that closes is free after the next wait
constexpr int peer_groups_option = 59;  // SO_PEERGROUPS, Linux 4.13

template <class T>
bool holds(std::span<const T> list, T value) noexcept {
    return std::find(list.begin(), list.end(), value) != list.end();
}

// Of who is in more groups than these only the effective one counts.
bool in_group(int socket, const Credentials& client, std::span<const std::uint32_t> gids) noexcept {
    if (gids.empty()) return false;
    if (holds(gids, client.gid)) return true;
    std::uint32_t groups[256];
    socklen_t size = sizeof(groups);
    if (::getsockopt(socket, SOL_SOCKET, peer_groups_option, groups, &size) < 0) return false;
    const std::span<const std::uint32_t> held(groups, size / sizeof(groups[0]));
    return std::any_of(held.begin(), held.end(), [&](std::uint32_t gid) { return holds(gids, gid); });
}

}  // namespace

const LinkKind LinkEnd::server_kind{
    .on_event = [](LinkSlot& slot, unsigned,
                   long) noexcept { LinkEnd::accept_some(slot.state<ServerState>()); },
    .on_timer = [](LinkSlot& slot) noexcept { LinkEnd::accept_some(slot.state<ServerState>()); },
    .on_free =
        [](LinkSlot& slot) noexcept {
            if (slot.state<ServerState>().strangers) SlowCalls::end();
        },
    // What has not been taken yet is closed with it.
    .on_close =
        [](LinkSlot& slot, unsigned, Fd fd) noexcept {
            const bool laden = slot.state<ServerState>().strangers && sys::lets_descriptors_in(fd.get());
            LinkEnd::close_socket(slot.scheduler(), ::geteuid(), laden, std::move(fd));
        },
};

bool LinkEnd::admits(const LinkAdmission& admission, int socket, const Credentials& client) noexcept {
    const bool listed = (admission.uids.empty() && admission.gids.empty()) ||
                        holds(admission.uids, client.uid) || in_group(socket, client, admission.gids);
    return listed && (admission.policy == nullptr || admission.policy(admission.context, client));
}

// The oldest client that has not said hello, of one user or of all, makes room for others.
bool LinkEnd::drop_one_silent(ServerState& server, std::int64_t uid) noexcept {
    Link* oldest = nullptr;
    for (Link* link = server.first; link != nullptr; link = link->next_) {
        const bool silent = link->state_ == LinkState::attaching && link->phase_ == Link::Phase::hello;
        if (silent && (uid < 0 || link->credentials_.uid == static_cast<std::uint64_t>(uid))) oldest = link;
    }
    if (oldest == nullptr) return false;
    lose(*oldest, LinkState::lost);
    return true;
}

// Of more users than are remembered the one that was held back least is forgotten, and begins anew; all together have the
// rate at which connections are taken.
bool LinkEnd::in_time(ServerState& server, const Credentials& client) noexcept {
    std::size_t user = 0;
    for (std::size_t i = 0; i < ServerState::users_max; ++i) {
        if (server.users[i] == client.uid) {
            user = i;
            break;
        }
        if (server.users_handshakes[i].full_at() < server.users_handshakes[user].full_at()) user = i;
    }
    if (server.users[user] != client.uid) {
        server.users[user] = client.uid;
        server.users_handshakes[user] = {};
    }
    return server.users_handshakes[user].take(server.slot.scheduler().now());
}

bool LinkEnd::room_for(ServerState& server, const Credentials& client) noexcept {
    std::uint32_t pending = 0;
    for (const Link* link = server.first; link != nullptr; link = link->next_) {
        const bool counts = link->state_ == LinkState::attaching && !link->trusted_;
        if (counts && link->credentials_.uid == client.uid) ++pending;
    }
    return pending < server.pending_per_user || drop_one_silent(server, client.uid);
}

// There is no slot for it. Whoever only asks needs none, if the question is here already; else it is asked again.
void LinkEnd::refuse(ServerState& server, int socket, bool laden) noexcept {
    Hello hello{};  // read in any case, or closing would be a reset
    bool descriptors = false;
    const long got = receive(socket, laden, &hello, sizeof(hello), descriptors);
    if (got == 0) return;  // gone again: it only looked who is there
    if (got == sizeof(hello) && hello.magic == protocol_magic && hello.protocol == protocol_version &&
        hello.request == Request::stat) {
        tell_stat(server, socket, server.pending);
        return;
    }
    ++server.refused;
    const std::size_t limit = server.slot.scheduler().links().capacity();
    report_client(server, {.code = Errc::no_link, .operation = "a client to be admitted", .b = limit});
    const Answer answer{.verdict = Verdict::no_link, .b = limit, .terms = server.terms};
    (void)sys::send(socket, &answer, sizeof(answer));
}

bool LinkEnd::take_connection(ServerState& server, Fd socket) noexcept {
    ucred peer{};
    const long known = sys::peer_credentials(socket.get(), peer);
    const Credentials client{.pid = peer.pid, .uid = peer.uid, .gid = peer.gid};
    const bool trusted = known == 0 && trusts(server.trust, client.uid);
    const bool laden = server.strangers && !trusted && sys::lets_descriptors_in(socket.get());
    Scheduler& scheduler = server.slot.scheduler();
    if (known < 0) {
        report_client(server,
                      Error::from_errno("a client to be admitted, who it is", static_cast<int>(-known)));
        close_socket(scheduler, client.uid, laden, std::move(socket));
        return true;
    }
    if (!trusted && !(in_time(server, client) && room_for(server, client))) {
        // Without an answer: whoever is hung up on comes again.
        ++server.refused;
        ++server.over_cap;
        close_socket(scheduler, client.uid, laden, std::move(socket));
        return true;
    }
    LinkTable& table = scheduler.links();
    LinkSlot* const slot = table.take(kind);
    if (slot != nullptr) {
        admit(server, *slot, std::move(socket), client, laden);
    } else {
        if (!table.closing()) refuse(server, socket.get(), laden);
        close_socket(scheduler, client.uid, laden, std::move(socket));
    }
    return trusted;
}

void LinkEnd::accept_some(ServerState& server) noexcept {
    constexpr int connections_max = 4;  // in one go: then others have their turn
    LinkSlot& own = server.slot;
    LinkTable& table = own.scheduler().links();
    for (int i = 0; i < connections_max; ++i) {
        if (server.strangers && SlowCalls::crowded()) {
            report_client(server, {.code = Errc::overflow,
                                   .operation = "clients to be admitted, whose sockets take long to close"});
            own.arm_timer(files_pause);
            return;
        }
        const bool crowded = server.pending >= server.pending_max;
        // Nobody is dropped for a client that is not there.
        const bool awaited = sys::poll_now(own.fd(socket_watch), POLLIN) > 0;
        if (awaited && (crowded || !table.has_free())) {
            // Whoever is dropped to make room is closing for a moment; other handshakes end soon, well or badly.
            const bool clears = table.closing() || drop_one_silent(server) || server.pending > 0;
            if (clears) break;
        }
        if (const Instant now = own.scheduler().now(); awaited && !server.connections.take(now)) {
            own.arm_timer(std::max(server.connections.wait(now), slot_pause));
            return;
        }
        const long accepted = sys::accept(own.fd(socket_watch));
        if (accepted >= 0) {
            if (!take_connection(server, Fd(static_cast<int>(accepted)))) break;
            continue;
        }
        if (accepted == -EAGAIN) {
            if (!own.watching(socket_watch) && own.watch_readable(socket_watch) < 0)
                own.arm_timer(files_pause);
            return;
        }
        report_client(server, Error::from_errno("a client to be admitted", static_cast<int>(-accepted)));
        own.arm_timer(files_pause);
        return;
    }
    own.arm_timer(slot_pause);
}

void LinkEnd::admit(ServerState& server, LinkSlot& slot, Fd socket, const Credentials& credentials,
                    bool laden) noexcept {
    Link& link = make(slot, std::move(socket), credentials, server.trust);
    link.laden_ = laden;
    if (laden) SlowCalls::share();
    link.server_ = &server;
    link.next_ = server.first;
    link.terms_ = server.terms;
    server.first = &link;
    ++server.pending;
    slot.arm_timer(server.handshake);
    read_socket(link);
}

}  // namespace weir::ipc
