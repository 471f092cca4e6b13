// SPDX-License-Identifier: MIT
//
// What server and client say to each other until they are attached, at the server. All of it happens inside completions: a
// packet that arrives is answered on the spot.
#include "shm/link_end.hpp"

#include "shm/slow_calls.hpp"
#include "sys/calls.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

namespace weir::ipc {
namespace {

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
        seal(link);
        return;
    }
    // Before it is attached it has nothing to say.
    if (link.phase_ == Link::Phase::sealing) {
        violate(link, LinkViolation::packet);
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
        if (link->phase_ == Link::Phase::owing) {
            look_if_settled(*link);
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

void LinkEnd::seal(Link& link) noexcept {
    const ServerState& server = *server_of(link);
    if (link.trusted_ || !server.strangers) {
        if (link.pending_.seal()) return attach(link);
        return violate(link, LinkViolation::region);
    }
    link.phase_ = Link::Phase::sealing;
    for (const Link* other = server.first; other != nullptr; other = other->next_) {
        // Its turn comes in seal_next(). Who makes one of its calls last has no more of them than this one.
        if (other->credentials_.uid == link.credentials_.uid && other->slot_->watching(bell_watch) &&
            !other->trusted_)
            return;
    }
    seal_elsewhere(link);
}

void LinkEnd::seal_elsewhere(Link& link) noexcept {
    constexpr const char* operation = "a client to be admitted, sealing its region";
    LinkSlot& slot = *link.slot_;
    Fd heard = new_bell();
    Fd done(heard ? ::fcntl(heard.get(), F_DUPFD_CLOEXEC, 0) : -1);
    Fd region(done ? ::fcntl(link.pending_.fd(), F_DUPFD_CLOEXEC, 0) : -1);
    std::optional<Error> wrong;
    if (!region) {
        wrong = Error::from_errno(operation, errno);
    } else if (!SlowCalls::seal(link.credentials_.uid, std::move(region), link.pending_.size(),
                                std::move(done))) {
        wrong = Error{.code = Errc::overflow, .operation = operation};
    } else {
        slot.set_fd(bell_watch, std::move(heard));
        const long watched = slot.watch_counter(bell_watch);
        if (watched < 0) wrong = Error::from_errno(operation, static_cast<int>(-watched));
    }
    if (!wrong) return;
    report_client(*server_of(link), *wrong);
    turn_away(link, *wrong);
}

void LinkEnd::seal_next(ServerState& server, std::uint32_t uid) noexcept {
    for (Link* link = server.first; link != nullptr;) {
        Link* const next = link->next_;
        const bool waits = link->phase_ == Link::Phase::sealing && !link->slot_->watching(bell_watch);
        if (waits && link->credentials_.uid == uid) {
            seal_elsewhere(*link);
            if (link->slot_->watching(bell_watch)) return;
        }
        link = next;
    }
}

void LinkEnd::sealed(Link& link, long result) noexcept {
    const auto verdict = static_cast<SlowCalls::Verdict>(link.slot_->counter());
    ServerState& server = *server_of(link);
    const std::uint32_t uid = link.credentials_.uid;
    if (link.phase_ == Link::Phase::owing) {
        look_if_settled(link);
    } else if (result < 0) {
        lose(link, LinkState::lost);
    } else if (verdict == SlowCalls::Verdict::sealed) {
        attach(link);
    } else {
        violate(link, LinkViolation::region);
    }
    seal_next(server, uid);
}

void LinkEnd::attach(Link& link) noexcept {
    ServerState& server = *server_of(link);
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

}  // namespace weir::ipc
