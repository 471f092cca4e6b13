// SPDX-License-Identifier: MIT
//
// The server's side of attaching. All of it happens inside completions: a packet that arrives is answered on the spot,
// a client that says nothing costs a slot until its time is over or somebody else needs the slot.
#include "shm/link_end.hpp"

#include "names/bound_name.hpp"
#include "sys/calls.hpp"
#include "weir/core/report.hpp"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

using namespace std::chrono_literals;

constexpr Duration files_pause = 50ms;  // as accept() of the listeners: the connections stay in the backlog
constexpr Duration slot_pause = 1ms;    // a slot that closes is free after the next wait
constexpr std::uint32_t links_per_user_most = 8;
constexpr int backlog = 16;

Fd new_bell() noexcept {
    return Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

struct Difference {
    Verdict verdict;
    const char* operation;
    std::uint64_t client;
    std::uint64_t server;
};

// The first thing in which a client's hello differs from what is served.
std::optional<Difference> difference(const Hello& hello, const LinkTerms& terms) noexcept {
    const LinkTerms& theirs = hello.terms;
    if (theirs.object != terms.object)
        return Difference{Verdict::object, "a client's hello, object", theirs.object, terms.object};
    if (theirs.version != terms.version)
        return Difference{Verdict::version, "a client's hello, version of the object", theirs.version,
                          terms.version};
    if (theirs.record_size != terms.record_size)
        return Difference{Verdict::record_size, "a client's hello, record size", theirs.record_size,
                          terms.record_size};
    if (theirs.layout != terms.layout)
        return Difference{Verdict::layout, "a client's hello, record layout", theirs.layout, terms.layout};
    if (theirs.depth != 0 && theirs.depth != terms.depth)
        return Difference{Verdict::depth, "a client's hello, depth", theirs.depth, terms.depth};
    if (hello.bell != BellKind::eventfd && hello.bell != BellKind::packet)
        return Difference{Verdict::bell, "a client's hello, bell", static_cast<std::uint64_t>(hello.bell),
                          static_cast<std::uint64_t>(BellKind::eventfd)};
    return std::nullopt;
}

Verdict verdict_of(Errc code) noexcept {
    if (code == Errc::in_use) return Verdict::in_use;
    if (code == Errc::no_link) return Verdict::no_link;
    if (code == Errc::no_files) return Verdict::no_files;
    if (code == Errc::no_memory) return Verdict::no_memory;
    if (code == Errc::denied) return Verdict::denied;
    if (code == Errc::no_place) return Verdict::no_place;
    return Verdict::refused;
}

}  // namespace

const LinkKind LinkEnd::server_kind{
    .on_event = [](LinkSlot& slot, unsigned,
                   long) noexcept { LinkEnd::accept_some(slot.state<ServerState>()); },
    .on_timer = [](LinkSlot& slot) noexcept { LinkEnd::accept_some(slot.state<ServerState>()); },
    .on_free = nullptr,
};

namespace {

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

bool admits(const LinkAdmission& admission, int socket, const Credentials& client) noexcept {
    const bool listed = (admission.uids.empty() && admission.gids.empty()) ||
                        holds(admission.uids, client.uid) || in_group(socket, client, admission.gids);
    return listed && (admission.policy == nullptr || admission.policy(admission.context, client));
}

}  // namespace

void LinkEnd::report_client(ServerState& server, const Error& error) noexcept {
    if (server.reports.take(server.slot.scheduler().now())) report(error);
}

void LinkEnd::no_more_pending(Link& link) noexcept {
    --server_of(link)->pending;
    link.slot_->disarm_timer();
}

void LinkEnd::answer_no(const Link& link, Verdict verdict, std::uint64_t a, std::uint64_t b) noexcept {
    const Answer answer{.verdict = verdict, .a = a, .b = b, .terms = server_of(link)->terms};
    (void)send(link, &answer, sizeof(answer));
}
void LinkEnd::answer_no(const Link& link, const Error& error) noexcept {
    answer_no(link, verdict_of(error.code), error.a, error.b);
}

void LinkEnd::deny(Link& link) noexcept {
    ServerState& server = *server_of(link);
    ++server.refused;
    ++server.denied;
    if (server.reports.take(link.slot_->scheduler().now())) report_peer(link, "denied", {});
    // It learns nothing of what is served.
    const Answer answer{.verdict = Verdict::denied};
    (void)send(link, &answer, sizeof(answer));
    lose(link, LinkState::lost);
}

// For what went wrong here and not there.
void LinkEnd::turn_away(Link& link, const Error& error) noexcept {
    ++server_of(link)->refused;
    answer_no(link, error);
    lose(link, LinkState::lost);
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
void LinkEnd::refuse(ServerState& server, int socket) noexcept {
    Hello hello{};  // read in any case, or closing would be a reset
    const long got = sys::receive(socket, &hello, sizeof(hello));
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
    if (const long known = sys::peer_credentials(socket.get(), peer); known < 0) {
        report_client(server,
                      Error::from_errno("a client to be admitted, who it is", static_cast<int>(-known)));
        return true;
    }
    const Credentials client{.pid = peer.pid, .uid = peer.uid, .gid = peer.gid};
    const bool trusted = trusts(server.trust, client.uid);
    if (!trusted && !(in_time(server, client) && room_for(server, client))) {
        // Without an answer: whoever is hung up on comes again.
        ++server.refused;
        ++server.over_cap;
        return true;
    }
    LinkTable& table = server.slot.scheduler().links();
    LinkSlot* const slot = table.take(kind);
    if (slot != nullptr) {
        admit(server, *slot, std::move(socket), client);
    } else if (!table.closing()) {
        refuse(server, socket.get());
    }
    return trusted;
}

void LinkEnd::accept_some(ServerState& server) noexcept {
    constexpr int connections_max = 4;  // in one go: then others have their turn
    LinkSlot& own = server.slot;
    LinkTable& table = own.scheduler().links();
    for (int i = 0; i < connections_max; ++i) {
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

void LinkEnd::admit(ServerState& server, LinkSlot& slot, Fd socket, const Credentials& credentials) noexcept {
    Link& link = make(slot, std::move(socket), credentials, server.trust);
    link.server_ = &server;
    link.next_ = server.first;
    link.terms_ = server.terms;
    server.first = &link;
    ++server.pending;
    slot.arm_timer(server.handshake);
    read_socket(link);
}

void LinkEnd::on_server_packet(Link& link, const std::byte* packet, std::size_t size,
                               bool descriptors) noexcept {
    if (descriptors) {
        violate(link, LinkViolation::descriptors);
        return;
    }
    if (link.phase_ == Link::Phase::granted) {
        Note said{};
        if (size == sizeof(said)) std::memcpy(&said, packet, sizeof(said));
        // It cannot have mapped what it has not taken.
        const bool early = !link.trusted_ && unread_bytes(link) > 0;
        if (size != sizeof(said) || said.magic != protocol_magic || said.kind != Note::Kind::mapped ||
            early) {
            violate(link, LinkViolation::packet);
            return;
        }
        attach(link);
        return;
    }
    Hello hello{};
    std::memcpy(&hello, packet, std::min(size, sizeof(hello)));
    if (size < 2 * sizeof(std::uint32_t) || hello.magic != protocol_magic) {
        violate(link, LinkViolation::packet);
        return;
    }
    if (hello.protocol != protocol_version || size != sizeof(hello)) {
        report_client(*server_of(link), {.code = Errc::mismatch,
                                         .operation = "a client's hello, protocol",
                                         .a = protocol_version,
                                         .b = hello.protocol});
        ++server_of(link)->refused;
        answer_no(link, Verdict::protocol, hello.protocol, protocol_version);
        lose(link, LinkState::lost);
        return;
    }
    on_hello(link, hello);
}

void LinkEnd::on_hello(Link& link, const Hello& hello) noexcept {
    if (hello.request == Request::stat) {
        tell_stat(*server_of(link), link.slot_->fd(socket_watch), server_of(link)->pending - 1);
        lose(link, LinkState::lost);
        return;
    }
    if (!admits(server_of(link)->admission, link.slot_->fd(socket_watch), link.credentials_)) {
        deny(link);
        return;
    }
    const auto differs = difference(hello, link.terms_);
    if (differs) {
        report_client(*server_of(link), {.code = Errc::mismatch,
                                         .operation = differs->operation,
                                         .a = differs->server,
                                         .b = differs->client});
        ++server_of(link)->refused;
        answer_no(link, differs->verdict, differs->client, differs->server);
        lose(link, LinkState::lost);
        return;
    }
    if (hello.bell == BellKind::eventfd && link.trusted_) link.bell_ = BellKind::eventfd;
    grant(link);
}

// A successor may come before we have heard that its predecessor is gone, in the middle of its handshake perhaps.
void LinkEnd::sweep(ServerState& server) noexcept {
    for (Link* link = server.first; link != nullptr;) {
        Link* const next = link->next_;
        if (link->phase_ == Link::Phase::unread) {
            look_if_read(*link);
        } else if (link->phase_ != Link::Phase::hello) {
            const int process = link->slot_->fd(process_watch);
            const bool dead = process >= 0 && sys::poll_now(process, POLLIN) > 0;
            const bool spoke = sys::poll_now(link->slot_->fd(socket_watch), POLLIN | POLLRDHUP) > 0;
            if (dead) read_to_end(*link);
            if (spoke && !dead) read_socket(*link);
            if (dead && !link->slot_->closing()) lose(*link, LinkState::lost);
        }
        link = next;
    }
}

void LinkEnd::grant(Link& link) noexcept {
    ServerState& server = *server_of(link);
    sweep(server);
    std::uint32_t links = 0;
    for (const Link* other = server.first; other != nullptr; other = other->next_) {
        const bool counts = other->phase_ != Link::Phase::hello && !other->trusted_;
        if (counts && other->credentials_.uid == link.credentials_.uid) ++links;
    }
    const std::uint32_t most = server.links_per_user > 0 ? server.links_per_user : links_per_user_most;
    if (!link.trusted_ && links >= most) {
        ++server.over_cap;
        turn_away(link, {.code = Errc::no_place, .operation = "", .b = most});
        return;
    }
    const auto given = server.hooks.on_admit(server.owner, link);
    if (!given) {
        turn_away(link, given.error());
        return;
    }
    link.phase_ = Link::Phase::granted;
    const auto handed = hand_over(link, *given);
    if (handed || link.slot_->closing()) return;
    if (handed.error() != Errc::peer_lost && handed.error() != Errc::not_found)
        report_client(server, handed.error());
    turn_away(link, handed.error());
}

// Makes what the client gets, and sends it.
Result<void> LinkEnd::hand_over(Link& link, const LinkGrant& given) noexcept {
    constexpr const char* operation = "a client to be admitted";
    ServerState& server = *server_of(link);
    link.own_ = given.own;
    const long watched = watch_process(link);
    if (watched < 0) return failure(Error::from_errno(operation, static_cast<int>(-watched)));
    WEIR_TRY(link.pending_, Region::create(given.client_size, "weir link"));
    if (server.hooks.fill_region != nullptr) {
        WEIR_TRY(const Mapping mapping, link.pending_.map_writable());
        server.hooks.fill_region(server.owner, link, {mapping.data(), mapping.size()});
    }
    Fd heard;
    Fd rung;
    if (link.bell_ == BellKind::eventfd) {
        heard = new_bell();
        rung = new_bell();
        if (!heard || !rung) return failure(Error::from_errno(operation, errno));
    }
    const Answer answer{.bell = link.bell_,
                        .terms = link.terms_,
                        .server_size = given.region->size(),
                        .client_size = given.client_size};
    int descriptors[answer_descriptors];
    descriptors[server_region] = given.region->fd();
    descriptors[client_region] = link.pending_.fd();
    descriptors[server_bell] = heard.get();
    descriptors[client_bell] = rung.get();
    const long sent =
        send(link, &answer, sizeof(answer), std::span(descriptors).first(descriptors_of(link.bell_)));
    if (sent < 0) return failure(Error::from_errno(operation, static_cast<int>(-sent)));
    if (!heard) return {};
    link.slot_->set_fd(bell_watch, std::move(heard));
    link.bell_out_ = rung.release();
    return {};
}

void LinkEnd::attach(Link& link) noexcept {
    ServerState& server = *server_of(link);
    // From here on nobody can get write access any more; what was changed before is found now.
    if (!link.pending_.seal()) {
        violate(link, LinkViolation::region);
        return;
    }
    auto mapping = link.pending_.map_read_only();
    if (!mapping) {
        report_client(server, mapping.error());
        turn_away(link, mapping.error());
        return;
    }
    const std::size_t size = mapping->size();
    link.peer_ = {mapping->release(), size};
    link.pending_.close();
    no_more_pending(link);
    link.phase_ = Link::Phase::attached;
    link.state_ = LinkState::attached;
    link.attached_at_ = link.slot_->scheduler().now();
    ++server.admitted;
    note(link, Note::Kind::attached);
    if (server.hooks.on_attached != nullptr) server.hooks.on_attached(server.owner, link);
}

void LinkEnd::tell_stat(ServerState& server, int socket, std::uint32_t pending) noexcept {
    LinkStat stat;
    stat.object = server.terms.object;
    stat.pid = ::getpid();
    stat.uid = ::geteuid();
    stat.layout = server.terms.layout;
    stat.record_size = server.terms.record_size;
    stat.depth = server.terms.depth;
    stat.started_ns = static_cast<std::uint64_t>(to_ns(server.started));
    stat.now_ns = static_cast<std::uint64_t>(to_ns(server.slot.scheduler().now()));
    stat.admitted = server.admitted;
    stat.refused = server.refused;
    stat.denied = server.denied;
    stat.over_cap = server.over_cap;
    stat.turned_out = server.turned_out;
    stat.violation = server.violation;
    stat.violator_pid = server.violator_pid;
    stat.violator_uid = server.violator_uid;
    stat.violated_ns = static_cast<std::uint64_t>(to_ns(server.violated_at));
    stat.pending = pending;  // without the one that asks
    for (const Link* peer = server.first; peer != nullptr; peer = peer->next_) {
        if (peer->state_ != LinkState::attached) continue;
        if (stat.peers < LinkStat::peers_max) {
            LinkPeerStat& told = stat.peer[stat.peers];
            told.pid = peer->credentials_.pid;
            told.uid = peer->credentials_.uid;
            told.attached_ns = static_cast<std::uint64_t>(to_ns(peer->attached_at_));
            told.bells_rung = peer->bells_rung_;
            told.bells_heard = peer->bells_heard_;
            if (server.hooks.fill_peer_stat != nullptr)
                server.hooks.fill_peer_stat(server.owner, *peer, told);
        }
        ++stat.peers;
    }
    if (server.hooks.fill_stat != nullptr) server.hooks.fill_stat(server.owner, stat);
    (void)sys::send(socket, &stat, sizeof(stat));
}

Result<void> LinkEnd::serve(LinkSlot& slot, Fd listener) noexcept {
    slot.set_fd(socket_watch, std::move(listener));
    const long watched = slot.watch_readable(socket_watch);
    if (watched < 0) return failure(Error::from_errno("serving a name", static_cast<int>(-watched)));
    return {};
}

void LinkEnd::close_server(LinkSlot& slot) noexcept {
    auto& server = slot.state<ServerState>();
    while (server.first != nullptr) close(*server.first);
    slot.close();
}

Result<LinkServer> LinkServer::create(Scheduler& scheduler, const Name& name, const LinkTerms& terms,
                                      const LinkHooks& hooks, void* owner,
                                      const LinkServerOptions& options) noexcept {
    WEIR_ASSERT(hooks.on_admit != nullptr && options.pending_max > 0 && options.pending_per_user > 0);
    LinkServer server;
    server.name_ = name;
    if (options.directory != nullptr) {
        WEIR_TRY(server.path_, options.directory->path_of(name, link_suffix));
    } else {
        WEIR_TRY(const RuntimeDirectory directory, RuntimeDirectory::find());
        const auto made = directory.make();
        if (!made) return failure(made.error());
        WEIR_TRY(server.path_, directory.path_of(name, link_suffix));
    }
    const auto started = scheduler.start();
    if (!started) return failure(started.error());
    LinkTable& table = scheduler.links();
    LinkSlot* const slot = table.take(LinkEnd::server_kind);
    if (slot == nullptr) return failure(Errc::no_link, "serving a name", 0, table.capacity());
    auto& state =
        slot->make<ServerState>(ServerState{.slot = *slot, .hooks = hooks, .owner = owner, .terms = terms});
    state.started = scheduler.now();
    state.handshake = options.handshake;
    state.trust = options.trust;
    state.admission = options.admission;
    state.links_per_user = options.links_per_user;
    state.pending_per_user = options.pending_per_user;
    state.pending_max = options.pending_max;
    auto bound =
        bind_name(server.path_,
                  {.mode = options.mode, .owner = options.owner, .group = options.group, .backlog = backlog});
    if (!bound) {
        slot->close();
        return failure(bound.error());
    }
    server.lock_ = std::move(bound->lock);
    server.slot_ = slot;  // from here on close() undoes it all
    const auto serving = LinkEnd::serve(*slot, std::move(bound->listener));
    if (!serving) return failure(serving.error());
    return server;
}

void LinkServer::expect_clients(std::uint32_t clients_max) noexcept {
    auto& links_per_user = slot_->state<ServerState>().links_per_user;
    if (links_per_user == 0 && clients_max > 1)
        links_per_user = std::min(clients_max - 1, links_per_user_most);
    const std::uint64_t wanted = std::uint64_t{clients_max} + 1;
    const std::uint64_t there = slot_->scheduler().links().capacity();
    if (there >= wanted) return;
    char line[192];
    const int size =
        std::snprintf(line, sizeof(line),
                      "weir: %s: clients can be refused for want of a link (Budget::links is %" PRIu64
                      ", the name with its %" PRIu32 " clients takes %" PRIu64 ")",
                      name_.c_str(), there, clients_max, wanted);
    if (size > 0) report(std::string_view(line));
}

LinkServer& LinkServer::operator=(LinkServer&& other) noexcept {
    if (this != &other) {
        close();
        slot_ = std::exchange(other.slot_, nullptr);
        lock_ = std::move(other.lock_);
        path_ = other.path_;
        name_ = other.name_;
    }
    return *this;
}

void LinkServer::set_owner(void* owner) noexcept {
    slot_->state<ServerState>().owner = owner;
}

void LinkServer::close() noexcept {
    if (slot_ == nullptr) return;
    // First the name: whoever is told goodbye may look for a successor at once.
    remove_name(path_);
    LinkEnd::close_server(*std::exchange(slot_, nullptr));
    lock_.close();
}

}  // namespace weir::ipc
