// SPDX-License-Identifier: MIT
//
// A name that is served: its slot, its links, and what it tells of them. Clients are let in by link_admission.cpp, and
// attach by link_handshake.cpp.
#include "shm/link_end.hpp"

#include "names/bound_name.hpp"
#include "shm/slow_calls.hpp"
#include "sys/calls.hpp"
#include "weir/core/report.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

constexpr int backlog = 16;

// Whether somebody who is not trusted can open the name. Root always can, and is not meant.
bool strangers_can_come(const LinkServerOptions& options) noexcept {
    if (options.trust == LinkTrust::everyone) return false;
    const std::uint32_t us = ::geteuid();
    constexpr mode_t others = S_IWGRP | S_IWOTH;
    return (options.mode & others) != 0 || (options.owner >= 0 && options.owner != us) ||
           !LinkEnd::trusts(options.trust, us);
}

}  // namespace

void LinkEnd::report_client(ServerState& server, const Error& error) noexcept {
    if (server.reports.take(server.slot.scheduler().now())) report(error);
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
    // Where time is simulated all peers are in this process, and no deadline waits for another thread.
    if (scheduler.backend().clock() == nullptr && strangers_can_come(options)) {
        const auto begun = SlowCalls::begin();
        if (!begun) {
            slot->close();
            return failure(begun.error());
        }
        state.strangers = true;
    }
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
