// SPDX-License-Identifier: MIT
//
// What both ends of a link do alike.
#pragma once

#include "weir/ipc/shm/link.hpp"
#include "weir/sys/message.hpp"

#include "shm/protocol.hpp"

#include <array>

namespace weir::ipc {

/// The watches of a link's slot. A server's own slot has its listening socket as the first.
enum LinkWatch : unsigned { socket_watch, process_watch, bell_watch };

/// How often a user that is not trusted may begin a handshake: once a second, 16 at once. One costs the server more
/// than a hundred calls do, and those that are attached wait meanwhile: at this rate too seldom to be felt at their 99th
/// percentile, even if the user does so at several names of one process. And each gives it a region that it may keep.
using UserHandshakes = TokenBucket<1'000'000'000, 16>;

/// What a user that is not trusted may have at most, where the server's options leave it open.
inline constexpr std::uint32_t links_per_user_most = 8;

/// The LinkServer's state, in its slot.
struct ServerState {
    LinkSlot& slot;
    const LinkHooks& hooks;
    void* owner;
    LinkTerms terms;
    Link* first = nullptr;  // of all its links, pending ones too
    LinkAdmission admission{};
    Instant started{};
    Duration handshake{};
    std::uint32_t links_per_user = 0;  // 0: links_per_user_most
    std::uint32_t pending_per_user = 0;
    std::uint32_t pending_max = 0;
    std::uint32_t pending = 0;
    // As in LinkStat.
    std::uint64_t admitted = 0;
    std::uint64_t refused = 0;
    std::uint64_t denied = 0;
    std::uint64_t over_cap = 0;
    std::uint64_t turned_out = 0;
    Instant violated_at{};
    LinkViolation violation = LinkViolation::none;
    std::int32_t violator_pid = 0;
    std::uint32_t violator_uid = 0;
    LinkTrust trust = LinkTrust::same_user;
    bool strangers = false;  // can come: SlowCalls is there
    // Of users that are not trusted, those that came last.
    static constexpr std::size_t users_max = 3;
    std::array<std::uint32_t, users_max> users{};
    std::array<UserHandshakes, users_max> users_handshakes{};
    TokenBucket<4'000'000, 64> connections{};  // that are taken
    TokenBucket<1'000'000'000, 16> reports{};  // of what clients do: the log is not theirs to fill
};

/// A friend of Link for the functions of this layer.
class LinkEnd {
public:
    // --- both ends (link.cpp)
    static const LinkKind kind;
    static bool trusts(LinkTrust trust, std::uint32_t uid) noexcept;
    static Link& make(LinkSlot& slot, Fd socket, const Credentials& credentials, LinkTrust trust) noexcept;
    /// Watches the process at the other end: 0, or the negative errno; -ESRCH if it is gone. A kernel without pidfds,
    /// and a peer in another pid namespace, leave the socket alone to tell.
    static long watch_process(Link& link) noexcept;
    static long send(const Link& link, const void* data, std::size_t size,
                     std::span<const int> descriptors = {}) noexcept;
    /// One packet without room for descriptors: its size, 0 at the end, or the negative errno. `descriptors` says whether
    /// any came along. The kernel dropped them; from a socket that is `laden` such a packet is not taken, but stays.
    static long receive(int socket, bool laden, void* data, std::size_t size, bool& descriptors) noexcept;
    /// Closes the socket of a peer, in this thread if it cannot take long.
    static void close_socket(Scheduler& scheduler, std::uint32_t uid, bool laden, Fd socket) noexcept;
    static void note(const Link& link, Note::Kind what) noexcept;
    static ServerState* server_of(const Link& link) noexcept {
        return static_cast<ServerState*>(link.server_);
    }
    /// The peer did what it must not: counts and reports it, hangs up, and loses the link.
    static void violate(Link& link, LinkViolation what) noexcept;
    static void note_violation(Link& link, LinkViolation what) noexcept;
    /// One line to the log: which peer, where, and what `happened` to it.
    static void report_peer(const Link& link, const char* happened, std::string_view why) noexcept;
    /// The link ends: says so to its owner.
    static void lose(Link& link, LinkState state) noexcept;
    static void close(Link& link) noexcept;
    /// How many bytes of what we sent the peer has not read, and not thrown away.
    static int unread_bytes(const Link& link) noexcept;
    /// Closes the link of a client that was gone before it had read its answer, or before its region was sealed, if that is
    /// so now, or looks again later.
    static void look_if_settled(Link& link) noexcept;
    static void read_socket(Link& link) noexcept;
    /// Of a peer that is dead.
    static void read_to_end(Link& link) noexcept;
    /// One packet of a link that is attached: false if it was the last one.
    static bool on_packet(Link& link, const std::byte* packet, std::size_t size, bool descriptors,
                          bool& rang) noexcept;
    /// Reads what an attached peer sent, as much as it may at one time, and sees to the next look.
    static void read_packets(Link& link) noexcept;
    static void watch_socket(Link& link) noexcept;
    static void signal(Link& link) noexcept;
    static const LinkHooks* hooks_of(const Link& link, void*& owner) noexcept;

    // --- both ends: bells (link_bell.cpp)
    static void ring_by_packet(Link& link) noexcept;
    /// After a send to a peer that is not trusted: it pays for the time that it took since `began`, or since the thread
    /// had run for `before`.
    static void charge_for_ring(Link& link, Instant began, Duration before) noexcept;
    /// Tells of the rings that were in the socket. False if they were in vain, and too many of them are.
    static bool heard_by_packet(Link& link) noexcept;
    /// The next look at the socket is the timer's.
    static void rest(Link& link) noexcept;
    static void attached_timer(Link& link) noexcept;

    // --- at the server: who is let in (link_admission.cpp)
    static const LinkKind server_kind;
    static void accept_some(ServerState& server) noexcept;
    /// False: not another one just now, since the handshakes of users that are not trusted are spread over time.
    static bool take_connection(ServerState& server, Fd socket) noexcept;
    static void admit(ServerState& server, LinkSlot& slot, Fd socket, const Credentials& credentials,
                      bool laden) noexcept;
    static void refuse(ServerState& server, int socket, bool laden) noexcept;
    static bool drop_one_silent(ServerState& server, std::int64_t uid = -1) noexcept;
    /// Whether such a user may begin another handshake already.
    static bool in_time(ServerState& server, const Credentials& client) noexcept;
    /// Makes room for another handshake of a user that is not trusted; false if there is none.
    static bool room_for(ServerState& server, const Credentials& client) noexcept;
    /// Whether who says hello is one of those that the server wants.
    static bool admits(const LinkAdmission& admission, int socket, const Credentials& client) noexcept;

    // --- at the server: the handshake (link_handshake.cpp)
    static void on_server_packet(Link& link, const std::byte* packet, std::size_t size,
                                 bool descriptors) noexcept;
    static void on_hello(Link& link, const Hello& hello) noexcept;
    static void grant(Link& link) noexcept;
    static Result<void> hand_over(Link& link, const LinkGrant& given) noexcept;
    /// The client has mapped its region: nobody gets write access to it any more. What was changed before is found now.
    static void seal(Link& link) noexcept;
    /// In another thread, one for each user at a time.
    static void seal_elsewhere(Link& link) noexcept;
    static void seal_next(ServerState& server, std::uint32_t uid) noexcept;
    /// That thread has answered.
    static void sealed(Link& link, long result) noexcept;
    static void attach(Link& link) noexcept;
    static void deny(Link& link) noexcept;
    static void answer_no(const Link& link, Verdict verdict, std::uint64_t a, std::uint64_t b) noexcept;
    static void answer_no(const Link& link, const Error& error) noexcept;
    static void turn_away(Link& link, const Error& error) noexcept;
    static void sweep(ServerState& server) noexcept;
    static void no_more_pending(Link& link) noexcept;

    // --- at the server: the name (link_server.cpp)
    static void report_client(ServerState& server, const Error& error) noexcept;
    static void tell_stat(ServerState& server, int socket, std::uint32_t pending) noexcept;
    static void close_server(LinkSlot& slot) noexcept;
    static Result<void> serve(LinkSlot& slot, Fd listener) noexcept;

    // --- at the client (link_open.cpp)
    static void on_client_packet(Link& link) noexcept;
    static void on_answer(OpenLink::Wait& wait, Link& link, const Answer& answer, std::span<Fd> descriptors,
                          bool cut) noexcept;
    static void refuse_server(OpenLink::Wait& wait, Link& link, const Error& why) noexcept;
    static Result<void> take_over(Link& link, const Answer& answer, std::span<Fd> descriptors) noexcept;
    static void client_lost(Link& link) noexcept;
    /// Says hello and waits for the answer: 0, or the negative errno. The link is the wait's either way.
    static long ask(OpenLink::Wait& wait, LinkSlot& slot, Fd socket, const Credentials& credentials) noexcept;
};

}  // namespace weir::ipc
