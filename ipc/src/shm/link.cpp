// SPDX-License-Identifier: MIT
//
// A link's slot watches three descriptors: the attach socket from its first moment on; the process at the other end,
// since a forked child of it may hold the socket open; and the bell while it is armed. The end of either of the first
// two is the end of the link, after a last look for a goodbye in the socket. Bells are link_bell.cpp's.
#include "weir/ipc/shm/link.hpp"

#include "shm/link_end.hpp"
#include "shm/slow_calls.hpp"
#include "sys/calls.hpp"
#include "weir/core/report.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

using namespace std::chrono_literals;

constexpr Duration owing_first = 1ms;  // a peer that hangs up throws away what it has not read a moment later
constexpr Duration owing_pause = 1s;
constexpr int packets_max = 4;  // in one look
constexpr int floods_max = 64;  // looks that all find more
// Of the attach socket: many times what an honest peer leaves unread, and all that one which never reads can hold.
constexpr int unread_bytes_max = 16 * 1024;

// What the kernel says of all users that have no number in our user namespace.
constexpr std::uint32_t unnamed_uid = 65'534;

// The path of a name's socket, as the kernel knows it at either end. bind_name() binds beside it and renames: what was
// bound differs in the last letter.
std::string_view path_of(int fd, bool server, sockaddr_un& address) noexcept {
    socklen_t size = sizeof(address);
    auto* const at = static_cast<sockaddr*>(static_cast<void*>(&address));
    if ((server ? ::getsockname(fd, at, &size) : ::getpeername(fd, at, &size)) < 0) return "?";
    char* const path = address.sun_path;
    const std::size_t length = ::strnlen(path, sizeof(address.sun_path));
    if (length > 0) path[length - 1] = link_suffix.back();
    return {path, length};
}

}  // namespace

bool LinkEnd::trusts(LinkTrust trust, std::uint32_t uid) noexcept {
    switch (trust) {
        case LinkTrust::nobody: break;
        case LinkTrust::same_user: return uid == ::geteuid() && uid != unnamed_uid;
        case LinkTrust::everyone: return true;
    }
    return false;
}

const LinkKind LinkEnd::kind{
    .on_event =
        [](LinkSlot& slot, unsigned watch, long result) noexcept {
            Link& link = slot.state<Link>();
            const bool owing = link.phase_ == Link::Phase::owing;
            if (watch == bell_watch && (owing || link.phase_ == Link::Phase::sealing))
                return LinkEnd::sealed(link, result);
            if (owing) return LinkEnd::look_if_settled(link);
            switch (watch) {
                case socket_watch: LinkEnd::read_socket(link); return;
                case process_watch:
                    LinkEnd::read_to_end(link);
                    if (!slot.closing()) LinkEnd::lose(link, LinkState::lost);
                    return;
                default:
                    ++link.bells_heard_;
                    LinkEnd::signal(link);
                    return;
            }
        },
    .on_timer =
        [](LinkSlot& slot) noexcept {
            Link& link = slot.state<Link>();
            if (link.phase_ == Link::Phase::owing) {
                LinkEnd::look_if_settled(link);
            } else if (link.state_ == LinkState::attached) {
                LinkEnd::attached_timer(link);
            } else {
                // Only a server's clients have a time for their handshake.
                LinkEnd::lose(link, LinkState::lost);
            }
        },
    .on_free =
        [](LinkSlot& slot) noexcept {
            Link& link = slot.state<Link>();
            if (link.laden_) SlowCalls::end();
            link.~Link();
        },
    .on_close =
        [](LinkSlot& slot, unsigned watch, Fd fd) noexcept {
            const Link& link = slot.state<Link>();
            const bool laden = link.laden_ && watch == socket_watch;
            LinkEnd::close_socket(slot.scheduler(), link.credentials_.uid, laden, std::move(fd));
        },
};

Link& LinkEnd::make(LinkSlot& slot, Fd socket, const Credentials& credentials, LinkTrust trust) noexcept {
    auto& link = slot.make<Link>(slot);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &unread_bytes_max, sizeof(unread_bytes_max));
    slot.set_fd(socket_watch, std::move(socket));
    link.credentials_ = credentials;
    link.trusted_ = trusts(trust, credentials.uid);
    return link;
}

long LinkEnd::watch_process(Link& link) noexcept {
    LinkSlot& slot = *link.slot_;
    const long process = sys::open_peer_process(slot.fd(socket_watch), link.credentials_.pid);
    if (process < 0) {
        const bool unknowable =
            process != -EMFILE && process != -ENFILE && process != -ESRCH && process != -ENOMEM;
        return unknowable ? 0 : process;
    }
    slot.set_fd(process_watch, Fd(static_cast<int>(process)));
    return slot.watch_readable(process_watch);
}

long LinkEnd::send(const Link& link, const void* data, std::size_t size,
                   std::span<const int> descriptors) noexcept {
    sys::DescriptorMessage message(data, size);
    message.attach(descriptors);
    return sys::send_message(link.slot_->fd(socket_watch), message.header());
}

long LinkEnd::receive(int socket, bool laden, void* data, std::size_t size, bool& descriptors) noexcept {
    sys::PlainMessage message(data, size);
    const auto once = [&](auto call) {
        const long got = call(socket, message.header());
        // What the peer sent before it closed on us is still there behind the reset.
        return got == -ECONNRESET ? call(socket, message.header()) : got;
    };
    long got = 1;
    descriptors = false;
    if (laden) {
        got = once(sys::peek_message);
        descriptors = message.descriptors_cut();
    }
    if (got <= 0 || descriptors) return got;
    got = once(sys::receive_message);
    descriptors = message.descriptors_cut();
    return got;
}

void LinkEnd::close_socket(Scheduler& scheduler, std::uint32_t uid, bool laden, Fd socket) noexcept {
    if (!laden || SlowCalls::close(uid, std::move(socket))) return;
    if (scheduler.links().may_report(scheduler.now()))
        report({.code = Errc::overflow, .operation = "a stranger's socket, which stays open", .a = uid});
}

void LinkEnd::note(const Link& link, Note::Kind what) noexcept {
    const Note said{.kind = what};
    // A peer that has not read the few packets of a handshake is not waited for: hang-up tells it the rest.
    (void)send(link, &said, sizeof(said));
}

// Reads until nothing is left, and watches again.
void LinkEnd::read_socket(Link& link) noexcept {
    LinkSlot& slot = *link.slot_;
    if (link.server_ == nullptr && link.state_ == LinkState::attaching) {
        on_client_packet(link);
        if (slot.closing()) return;
    }
    std::byte packet[sizeof(Hello)];
    while (!slot.closing() && link.server_ != nullptr && link.state_ == LinkState::attaching) {
        bool descriptors = false;
        const long got = receive(slot.fd(socket_watch), link.laden_, packet, sizeof(packet), descriptors);
        if (got == -EAGAIN) {
            watch_socket(link);
            return;
        }
        if (got <= 0) {
            lose(link, LinkState::lost);
            return;
        }
        on_server_packet(link, packet, static_cast<std::size_t>(got), descriptors);
    }
    if (!slot.closing() && link.state_ == LinkState::attached) read_packets(link);
}

// A goodbye may lie behind rings, and a peer that is dead adds none.
void LinkEnd::read_to_end(Link& link) noexcept {
    for (int i = 0; i < floods_max && !link.slot_->closing(); ++i) {
        read_socket(link);
        if (link.state_ != LinkState::attached || !link.resting_) return;
    }
}

void LinkEnd::read_packets(Link& link) noexcept {
    link.resting_ = false;
    bool rang = false;
    bool more = true;
    std::byte packet[sizeof(Note) + 1];  // what is longer is cut, and so it is no note
    for (int i = 0; i < packets_max && more; ++i) {
        bool descriptors = false;
        const long got =
            receive(link.slot_->fd(socket_watch), link.laden_, packet, sizeof(packet), descriptors);
        more = got != -EAGAIN;
        if (!more) break;
        if (got <= 0) {
            lose(link, LinkState::lost);
            return;
        }
        if (!on_packet(link, packet, static_cast<std::size_t>(got), descriptors, rang)) return;
    }
    link.floods_ = more ? static_cast<std::uint16_t>(link.floods_ + 1) : std::uint16_t{0};
    if (link.floods_ > floods_max) {
        violate(link, LinkViolation::rings);
        return;
    }
    const bool patient = !rang || heard_by_packet(link);
    if (link.slot_->closing() || link.state_ != LinkState::attached) return;
    if (more || !patient) {
        rest(link);
    } else {
        watch_socket(link);
    }
}

void LinkEnd::watch_socket(Link& link) noexcept {
    LinkSlot& slot = *link.slot_;
    if (!slot.watching(socket_watch) && slot.watch_readable(socket_watch) < 0) lose(link, LinkState::lost);
}

bool LinkEnd::on_packet(Link& link, const std::byte* packet, std::size_t size, bool descriptors,
                        bool& rang) noexcept {
    if (descriptors) {
        violate(link, LinkViolation::descriptors);
        return false;
    }
    if (size == sizeof(ring_packet) && link.bell_ == BellKind::packet) {
        rang = true;
        return true;
    }
    Note said{};
    if (size == sizeof(said)) std::memcpy(&said, packet, sizeof(said));
    if (size == sizeof(said) && said.magic == protocol_magic && said.kind == Note::Kind::goodbye) {
        lose(link, LinkState::ended);
    } else {
        violate(link, LinkViolation::packet);
    }
    return false;
}

void LinkEnd::report_peer(const Link& link, const char* happened, std::string_view why) noexcept {
    const bool client = link.server_ != nullptr;
    sockaddr_un address{};
    const std::string_view path = path_of(link.slot_->fd(socket_watch), client, address);
    char line[320];
    const int length = std::snprintf(line, sizeof(line), "weir: %s %d of user %u at %.*s was %s%.*s",
                                     client ? "client" : "server", link.credentials_.pid,
                                     link.credentials_.uid, static_cast<int>(path.size()), path.data(),
                                     happened, static_cast<int>(why.size()), why.data());
    report({line, std::min(static_cast<std::size_t>(length), sizeof(line) - 1)});
}

void LinkEnd::note_violation(Link& link, LinkViolation what) noexcept {
    link.violation_ = what;
    ServerState* const server = server_of(link);
    Scheduler& scheduler = link.slot_->scheduler();
    const Instant now = scheduler.now();
    if (server != nullptr) {
        ++server->turned_out;
        server->violation = what;
        server->violated_at = now;
        server->violator_pid = link.credentials_.pid;
        server->violator_uid = link.credentials_.uid;
    }
    if (server != nullptr ? server->reports.take(now) : scheduler.links().may_report(now))
        report_peer(link, "turned out: it ", text(what));
    ::shutdown(link.slot_->fd(socket_watch), SHUT_RDWR);
}

void LinkEnd::violate(Link& link, LinkViolation what) noexcept {
    note_violation(link, what);
    lose(link, LinkState::lost);
}

const LinkHooks* LinkEnd::hooks_of(const Link& link, void*& owner) noexcept {
    const ServerState* const server = server_of(link);
    owner = server != nullptr ? server->owner : link.owner_;
    return server != nullptr ? &server->hooks : link.hooks_;
}

void LinkEnd::signal(Link& link) noexcept {
    void* owner = nullptr;
    const LinkHooks* const hooks = hooks_of(link, owner);
    if (hooks != nullptr && hooks->on_signal != nullptr) hooks->on_signal(owner, link);
}

void LinkEnd::lose(Link& link, LinkState state) noexcept {
    if (link.slot_->closing() || link.state_ == LinkState::ended || link.state_ == LinkState::lost) return;
    const Link::Phase phase = link.phase_;
    link.state_ = state;
    if (link.server_ == nullptr && phase != Link::Phase::attached) {
        client_lost(link);
        return;
    }
    if (phase != Link::Phase::attached) no_more_pending(link);
    if (phase != Link::Phase::hello) signal(link);
    if (phase != Link::Phase::attached && link.phase_ != Link::Phase::owing) close(link);
}

int LinkEnd::unread_bytes(const Link& link) noexcept {
    int bytes = 0;
    return ::ioctl(link.slot_->fd(socket_watch), TIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

void LinkEnd::look_if_settled(Link& link) noexcept {
    const bool sealing = link.slot_->watching(bell_watch);
    if (!sealing && unread_bytes(link) == 0) return close(link);
    if (!link.slot_->timer_armed()) link.slot_->arm_timer(owing_pause);
}

void LinkEnd::close(Link& link) noexcept {
    LinkSlot& slot = *link.slot_;
    if (slot.closing()) return;
    const LinkState before = std::exchange(link.state_, LinkState::ended);
    if (before == LinkState::attached) note(link, Note::Kind::goodbye);
    ServerState* const server = server_of(link);
    // Descriptors in an answer that nobody reads count as ours, and their number is limited for all of our user's
    // processes together. So whoever has not read its answer keeps its place until it has, or has closed the socket. And
    // who makes its sealing last keeps its place as long, or it could have more of them under way than it has places.
    const bool owing = server != nullptr && !link.trusted_ &&
                       ((link.phase_ == Link::Phase::granted && unread_bytes(link) > 0) ||
                        (link.phase_ == Link::Phase::sealing && slot.watching(bell_watch)));
    if (server != nullptr && before == LinkState::attaching) no_more_pending(link);
    if (server != nullptr && !owing) {
        Link** place = &server->first;
        while (*place != &link) place = &(*place)->next_;
        *place = link.next_;
    } else if (server == nullptr && !link.own_.empty()) {
        Mapping(link.own_.data(), link.own_.size()).unmap();
    }
    link.own_ = {};
    if (!link.peer_.empty()) {
        Mapping(const_cast<std::byte*>(link.peer_.data()), link.peer_.size()).unmap();
        link.peer_ = {};
    }
    link.pending_.close();
    Fd(std::exchange(link.bell_out_, -1)).close();
    // The peer hears of it now and not when the operations have ended.
    ::shutdown(slot.fd(socket_watch), SHUT_RDWR);
    if (owing) {
        link.phase_ = Link::Phase::owing;
        slot.arm_timer(owing_first);
        return;
    }
    slot.close();
}

Scheduler& Link::scheduler() const noexcept {
    return slot_->scheduler();
}

void Link::turn_out(LinkViolation violation) noexcept {
    if (violation_ != LinkViolation::none) return;
    if (state_ == LinkState::attached) state_ = LinkState::lost;
    LinkEnd::note_violation(*this, violation);
}

void Link::close() noexcept {
    LinkEnd::close(*this);
}

LinkClient& LinkClient::operator=(LinkClient&& other) noexcept {
    if (this != &other) {
        close();
        link_ = std::exchange(other.link_, nullptr);
    }
    return *this;
}

void LinkClient::set_owner(const LinkHooks& hooks, void* owner) noexcept {
    link_->hooks_ = &hooks;
    link_->owner_ = owner;
}

void LinkClient::close() noexcept {
    if (link_ != nullptr) std::exchange(link_, nullptr)->close();
}

}  // namespace weir::ipc
