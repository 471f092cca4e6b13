// SPDX-License-Identifier: MIT
//
// Two processes attached to each other: memory in both directions, a bell in both directions, and the news of the
// other's end.
//
// One of them serves a name; the other opens it. They talk over a unix socket in the runtime directory only while
// they attach and when they part. In between there is memory: the server's region, which every client maps read-only,
// and one region for each client, which only that client writes and the server maps read-only. Descriptors travel from
// server to client only. What they say to each other is in docs/shm.md.
//
// A Link is one attachment, at either side. It lies in a slot of the scheduler's link table (Budget::links), pinned
// until it is closed, and is driven by operations and not by tasks: a busy program still admits peers and sees them
// go. What happens to it is told to its owner, the object made on top of it, through LinkHooks: in the scheduler's
// thread, between tasks, so a hook may ring, arm, close and queue, and never waits.
//
// Between two that trust each other the bell is an eventfd for each direction. ring_bell() is one write(2) that cannot
// block. Hearing it costs nothing until arm_bell(), and then what a loop written by hand would pay: on epoll the wait and
// one read, on io_uring one entry that reads. It is not tried before it is waited for: call arm_bell() after a last look
// at the memory, in the same turn as the look.
//
// An eventfd is shared with whoever has it, who can make a ringer wait by turning O_NONBLOCK off. So where either side
// does not trust the other, ring_bell() is one packet of one byte on the attach socket instead, which no peer can make
// block. The socket is always watched, so it is heard, too, by one that does not wait for it, and both sides hold
// themselves to a rate.
#pragma once

#include "weir/core/token_bucket.hpp"
#include "weir/coro/deadline.hpp"
#include "weir/io/unix_stream.hpp"
#include "weir/ipc/names/runtime_directory.hpp"
#include "weir/ipc/shm/link_stat.hpp"
#include "weir/ipc/shm/region.hpp"
#include "weir/scheduler/link_table.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace weir::ipc {

class Link;

/// How a sleeper is woken.
enum class BellKind : std::uint32_t {
    eventfd = 1,  ///< where each side trusts the other
    packet = 2,   ///< a byte on the attach socket: everywhere else
};

/// Whom one side trusts. A trusted peer is read in place, so that what is read may change under its reader, and can make
/// a ringer wait. Each side decides for itself. The boundary is the user id, since processes of one user can look into
/// each other and change each other anyway. Root is another user like all the others: its process may be an honest one
/// that reads what strangers send.
enum class LinkTrust : std::uint8_t {
    nobody,     ///< not even our own user: for tests, and against peers that are merely broken
    same_user,  ///< whose effective user id is ours, unless that is 65534, which can be anybody's
    everyone,   ///< whoever is admitted, or whose server is accepted
};

/// What both sides have to agree on before either maps anything. A mismatch is an error at the client, with both
/// values, and is reported at the server.
struct LinkTerms {
    std::uint32_t object = 0;       ///< what is attached: a code of the layer above, such as four letters
    std::uint32_t version = 0;      ///< of the layout of that object's memory
    std::uint64_t layout = 0;       ///< hash of the layout of a record
    std::uint64_t record_size = 0;  ///< bytes; 0: records of any size
    std::uint64_t depth = 0;        ///< records, or bytes; at the client 0: whatever the server has

    friend bool operator==(const LinkTerms&, const LinkTerms&) = default;
};

enum class LinkState : std::uint8_t {
    attaching,  ///< the handshake is under way; only the server sees this
    attached,
    ended,  ///< the peer said goodbye
    lost,   ///< the peer died, or hung up without a word, or was turned out: see violation()
};

/// What a server gives a client that it admits.
struct LinkGrant {
    const Region* region =
        nullptr;  ///< the server's, sealed as Sealed::writes; lives until the hook returned
    Bytes own{};  ///< the server's mapping of it: Link::own() at the server. Outlives the link
    std::size_t client_size = 0;  ///< bytes of the region to be made for the client
};

/// What the owner of a link or of a server wants to know. All are called in the scheduler's thread outside of tasks.
/// Null where the owner has no use for it; on_admit is a server's duty.
struct LinkHooks {
    /// A client with matching terms asks to come in. Link::state() is attaching, its peer is known, it has no memory
    /// yet. An error is sent to the client: in_use (a = pid), no_place (b = how many there are), no_link, no_files,
    /// no_memory and denied as they are, others as refused. After a grant exactly one on_signal with ended or lost
    /// follows some day, unless the owner closes the link itself; on_attached may come before it. A link that ends
    /// without having been attached closes by itself.
    Result<LinkGrant> (*on_admit)(void* owner, Link& link) noexcept = nullptr;
    /// What the client's region holds when the client gets it; it is all zeros before.
    void (*fill_region)(void* owner, Link& link, Bytes region) noexcept = nullptr;
    /// The client is there: own() and peer() are valid from here on.
    void (*on_attached)(void* owner, Link& link) noexcept = nullptr;
    /// The armed bell rang (it is not armed any more), or state() became ended or lost. Memory stays mapped until the
    /// owner closes the link, which it may do here.
    void (*on_signal)(void* owner, Link& link) noexcept = nullptr;
    /// For `weir stat`: fills what the object knows (see link_stat.hpp). The link layer has filled the rest.
    void (*fill_stat)(void* owner, LinkStat& stat) noexcept = nullptr;
    /// The same for one attached client, before fill_stat.
    void (*fill_peer_stat)(void* owner, const Link& link, LinkPeerStat& stat) noexcept = nullptr;
    /// A number that is another one when the peer did something since, as far as the owner has looked and believes it: a
    /// cursor, say. It tells rings that brought news from those in vain, which are heard once a millisecond if there are
    /// many of them. Null: none is taken to be in vain.
    std::uint32_t (*news)(void* owner, const Link& link) noexcept = nullptr;
};

/// One attachment. Pinned in the link table; who has it as a client owns it by a LinkClient, a server's belong to its
/// LinkServer until they are closed.
class Link {
public:
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// The memory that this process writes and the peer reads.
    [[nodiscard]] Bytes own() const noexcept { return own_; }
    /// The memory that the peer writes: every word of it may change at any time and is read once, copied and checked.
    [[nodiscard]] ConstBytes peer() const noexcept { return peer_; }

    /// Wakes the peer if it has armed its bell, else is remembered. At most one system call; never blocks or fails. A peer
    /// whose bell is a packet is rung at most 64 times at once and 10,000 times in a second; what is beyond that is made
    /// up for by one ring, a millisecond later. So a peer that announces sleep at every message only hurts itself, and
    /// one that really sleeps is woken. One that is not trusted and makes its rings dear is rung less often: they take a
    /// twentieth of the thread's time at most.
    void ring_bell() noexcept;
    /// on_signal will be called when the peer rings, perhaps without need: once. Does nothing while armed, or when the
    /// link is not attached any more. Errors are told as LinkState::lost.
    void arm_bell() noexcept;
    [[nodiscard]] bool bell_armed() const noexcept;

    [[nodiscard]] Scheduler& scheduler() const noexcept;
    [[nodiscard]] LinkState state() const noexcept { return state_; }
    /// Who the peer is, as the kernel says: of a client when it connected, of a server when it began to listen.
    [[nodiscard]] const Credentials& credentials() const noexcept { return credentials_; }
    /// Whether this side trusts the peer: as LinkTrust says in the options, of our effective user when the link was made.
    /// Memory of a peer that is not trusted is copied before anything in it is believed. Valid from on_admit on.
    [[nodiscard]] bool trusted() const noexcept { return trusted_; }
    /// What the peer did beyond its rights. It was counted and reported, and its link is lost.
    [[nodiscard]] LinkViolation violation() const noexcept { return violation_; }
    /// For the owner who found the peer's memory impossible: counts and reports it, and hangs up. A link that was attached
    /// is lost then. on_signal is not called, and memory stays mapped until the owner closes the link. Only the first
    /// violation counts.
    void turn_out(LinkViolation violation) noexcept;
    /// How both sides ring each other. Valid once it is attached.
    [[nodiscard]] BellKind bell() const noexcept { return bell_; }
    /// The server's terms, at both sides.
    [[nodiscard]] const LinkTerms& terms() const noexcept { return terms_; }
    /// Since it was attached.
    [[nodiscard]] std::uint64_t bells_rung() const noexcept { return bells_rung_; }
    [[nodiscard]] std::uint64_t bells_heard() const noexcept { return bells_heard_; }
    [[nodiscard]] bool is_server() const noexcept { return server_ != nullptr; }
    /// The owner's own word, 0 at first.
    [[nodiscard]] std::uintptr_t tag() const noexcept { return tag_; }
    void set_tag(std::uintptr_t tag) noexcept { tag_ = tag; }

    /// Says goodbye if the peer is attached, unmaps, and gives the slot back, which may take until the scheduler has
    /// waited once more. Neither memory nor Link may be used afterwards.
    void close() noexcept;

private:
    friend class LinkEnd;
    friend class LinkServer;
    friend class LinkClient;
    friend class ::weir::LinkSlot;
    explicit Link(LinkSlot& slot) noexcept : slot_(&slot) {}
    ~Link() = default;

    // While it is sealing, a stranger's region is another thread's matter. The last one is of a client that is gone for its
    // owner, and has left our descriptors unread, or its region in that thread.
    enum class Phase : std::uint8_t { hello, granted, sealing, attached, owing };

    static constexpr std::int64_t ring_interval_ns = 100'000;
    static constexpr std::uint32_t rings_at_once = 64;
    using Rings = TokenBucket<ring_interval_ns, rings_at_once>;
    // Of rings in vain, those that nothing has made up for.
    using VainRings = TokenBucket<10'000'000, 32>;

    LinkSlot* slot_;
    Bytes own_{};  // mapped by us at the client; the owner's at the server
    ConstBytes peer_{};
    LinkTerms terms_{};
    Region pending_;          // the client's, at the server until it is sealed
    void* server_ = nullptr;  // the state of the LinkServer whose client this is
    void* owner_ = nullptr;   // at the client; while it attaches, the Wait
    const LinkHooks* hooks_ = nullptr;
    Link* next_ = nullptr;  // of the same server
    std::uintptr_t tag_ = 0;
    std::uint64_t bells_rung_ = 0;
    std::uint64_t bells_heard_ = 0;
    Instant attached_at_{};
    Credentials credentials_{};
    Rings rings_;  // of packets, as are the following
    VainRings vain_;
    Instant look_at_{};         // the socket, while it is not watched
    std::uint32_t news_ = 0;    // LinkHooks::news at the last ring
    std::uint16_t floods_ = 0;  // looks in a row that found more than they read
    std::uint8_t credit_ = 0;   // of rings that brought news, for those in vain
    bool resting_ = false;      // the socket is looked at by the slot's timer
    LinkViolation violation_ = LinkViolation::none;
    int bell_out_ = -1;
    BellKind bell_ = BellKind::packet;
    bool armed_ = false;
    bool heard_early_ = false;  // before it was armed
    bool withheld_ = false;     // a ring that the slot's timer makes up for
    bool dear_ = false;         // a ring took long: those after it are measured
    LinkState state_ = LinkState::attaching;
    Phase phase_ = Phase::hello;
    bool trusted_ = false;
    bool laden_ = false;  // the kernel lets a stranger's descriptors into the socket
};

/// Who is let in, of those that can write to the name's path. Without lists and policy everybody is.
struct LinkAdmission {
    /// Effective user ids, and group ids of which a client has one, as effective or supplementary group. Where there is
    /// either, a client is in one of them. They outlive the server.
    std::span<const std::uint32_t> uids{};
    std::span<const std::uint32_t> gids{};
    /// Asked besides, when a client says hello; false denies. Must not wait.
    bool (*policy)(void* context, const Credentials& client) noexcept = nullptr;
    void* context = nullptr;
};

struct LinkServerOptions {
    mode_t mode = 0600;       ///< of the name: who may open it must be able to write to its path
    std::int64_t owner = -1;  ///< uid of the path; -1: as it comes
    std::int64_t group = -1;  ///< gid of the path; -1: as it comes
    Duration handshake = std::chrono::seconds(1);  ///< how long a client may take for it
    std::uint32_t pending_max = 4;                 ///< clients in their handshake at one time
    LinkTrust trust = LinkTrust::same_user;        ///< which clients are trusted
    LinkAdmission admission{};                     ///< which clients are let in
    /// For each user that is not trusted: how many links it may have, and how many clients in their handshake. 0 links: one
    /// less than there are places, if there are several, so that no such user has all of them, and at most 8.
    std::uint32_t links_per_user = 0;
    std::uint32_t pending_per_user = 2;
    const RuntimeDirectory* directory = nullptr;  ///< null: RuntimeDirectory::find(), made if it is not there
};

/// Serves a name: admits clients, each a Link. Move-only. Takes one slot of the link table for itself and one for each
/// client. A client that does not speak while others wait is dropped for them. Connections are taken at a rate of 250
/// a second, 64 at once, so that who only connects and leaves cannot keep the server from its work.
class LinkServer {
public:
    LinkServer() noexcept = default;
    LinkServer(LinkServer&& other) noexcept
        : slot_(std::exchange(other.slot_, nullptr)),
          lock_(std::move(other.lock_)),
          path_(other.path_),
          name_(other.name_) {}
    LinkServer& operator=(LinkServer&& other) noexcept;
    ~LinkServer() { close(); }

    /// Binds `name` and admits from now on, while the scheduler runs. `hooks` outlives the server. Errors: in_use (the
    /// holder's pid in Error::a), no_link, denied, not_found (no runtime directory), too_large (path), no_files,
    /// no_memory. What a killed server left is taken over. Where others than our own user can come that are not trusted, the
    /// process has two threads from here on until the last such server is closed: see docs/shm.md.
    static Result<LinkServer> create(Scheduler& scheduler, const Name& name, const LinkTerms& terms,
                                     const LinkHooks& hooks, void* owner,
                                     const LinkServerOptions& options = {}) noexcept;

    /// Who has served the name tells for how many clients there is a place. Settles links_per_user if its options left it
    /// open; reports a line if Budget::links leaves no room for the name and as many, which can never all attach then.
    void expect_clients(std::uint32_t clients_max) noexcept;

    /// For owners that move: what the hooks of the server and of all its links are given from now on.
    void set_owner(void* owner) noexcept;
    [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }
    [[nodiscard]] const Name& name() const noexcept { return name_; }
    /// Of its socket.
    [[nodiscard]] std::string_view path() const noexcept { return path_.view(); }
    /// Closes every link with a goodbye, removes the name, and gives the slots back, which takes until the scheduler has
    /// waited once more: create() may say no_link until then. Hooks are not called.
    void close() noexcept;

private:
    friend class LinkEnd;
    LinkSlot* slot_ = nullptr;
    Fd lock_;
    RuntimePath path_;
    Name name_{"none"};
};

/// A client's end of a link. Move-only; closes with a goodbye when it dies.
class LinkClient {
public:
    LinkClient() noexcept = default;
    explicit LinkClient(Link& link) noexcept : link_(&link) {}
    LinkClient(LinkClient&& other) noexcept : link_(std::exchange(other.link_, nullptr)) {}
    LinkClient& operator=(LinkClient&& other) noexcept;
    ~LinkClient() { close(); }

    [[nodiscard]] Link* operator->() const noexcept { return link_; }
    [[nodiscard]] Link& operator*() const noexcept { return *link_; }
    [[nodiscard]] explicit operator bool() const noexcept { return link_ != nullptr; }
    /// Who is told from now on; again whenever the owner has moved. `hooks` outlives the link. Look at state() and the
    /// memory afterwards: what happened before was told to nobody.
    void set_owner(const LinkHooks& hooks, void* owner) noexcept;
    void close() noexcept;

private:
    Link* link_ = nullptr;
};

/// What one does whose peer has gone, when it has taken all that the peer gave.
enum class Successor : std::uint8_t {
    none,  ///< what is awaited of the peer ends at once with the error that it ended with
    await,  ///< it waits for the name to be served again, attaches, and goes on with the one that serves it then
};

struct LinkOpenOptions {
    std::int64_t server_uid = -1;            ///< whose servers are accepted; -1: our own user's and root's
    LinkTrust trust = LinkTrust::same_user;  ///< which of those are trusted
    const RuntimeDirectory* directory = nullptr;  ///< null: RuntimeDirectory::find()
};

/// What open_link() returns. Keeps its own copies.
class [[nodiscard]] OpenLink : public Awaitable<OpenLink> {
public:
    using Outcome = Result<LinkClient>;
    OpenLink(const Name& name, const LinkTerms& terms, const LinkOpenOptions& options) noexcept;

    class Wait : public Leaf {
    public:
        explicit Wait(OpenLink&& open) noexcept;
        ~Wait() = default;
        bool start(const Start& start) noexcept;
        void refuse(Errc code) noexcept { error_ = Error{.code = code, .operation = name()}; }
        Result<LinkClient> take() noexcept;
        /// For owners that are no tasks: instead of its completion, which has not come yet.
        void abandon() noexcept;

    private:
        friend class LinkEnd;
        struct Alarm : Timer {
            explicit Alarm(Wait& owner) noexcept : Timer(fire), wait(owner) {}
            static void fire(Timer& timer) noexcept;
            Wait& wait;
        };
        static constexpr Pending::Kind kind{"link open", nullptr};
        static void stopped(Stoppable& self) noexcept;
        void try_once() noexcept;
        void try_later() noexcept;
        void fail(const Error& error) noexcept { error_ = error; }
        void finish() noexcept;
        /// A server that went away in the middle: somebody may serve the name again soon.
        void lose() noexcept;
        void give_up() noexcept;

        Alarm alarm_;
        RuntimePath path_;
        LinkTerms terms_;
        std::int64_t server_uid_;
        LinkTrust trust_;
        Scheduler* scheduler_ = nullptr;
        Link* link_ = nullptr;
        Duration pause_;
        std::optional<Error> error_;
        bool begun_ = false;
    };

private:
    RuntimePath path_;
    LinkTerms terms_;
    std::int64_t server_uid_;
    LinkTrust trust_;
    Error error_{};  // of making the path
    bool failed_ = false;
};

/// Waits until `name` is served and attaches to it. While nobody serves it, or a server dies before it has answered,
/// tries again until the deadline. Errors: mismatch (the operation says of what; ours and theirs in the error), in_use
/// (by whom, where the object takes one client), no_place (where it takes several, or some for each user), no_link (here:
/// b = Budget::links; or as the server answered), denied (the path; or a server of another user, whose uid is in
/// Error::a; or we, by the server), refused (what answers is no server of weir's, or breaks the protocol), too_large,
/// no_files, no_memory, cancelled, timed_out. Suspends; takes a slot of the link table and no frame.
[[nodiscard]] OpenLink open_link(const Name& name, const LinkTerms& terms,
                                 const LinkOpenOptions& options = {}) noexcept;

}  // namespace weir::ipc
