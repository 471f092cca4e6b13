// SPDX-License-Identifier: MIT
//
// A server of calls: what does not depend on the types of requests and replies.
//
// All its memory is made with it: a place for each client, and a place for each call that it may have in hand, which is
// where the request is copied to when a task takes it. A call belongs to whoever took it. It outlives the client, whom
// then nobody answers, and the server, whose memory goes with the last of its calls.
//
// Clients that have calls waiting stand in a line. Whoever is first gives one call and goes to the end of the line, so
// none waits for more than one call of each other client.
#pragma once

#include "weir/coro/event.hpp"
#include "weir/ipc/service/port_link.hpp"
#include "weir/ipc/service/server_port.hpp"

namespace weir::ipc {

/// How much a service holds, and where it is found.
struct ServiceOptions {
    std::uint32_t clients_max = 8;  ///< attached at one time, at most 1,024
    /// Of one client at one time, cancelled ones that the server has in hand among them; at most 4,096.
    std::uint32_t calls_max = 16;
    std::uint32_t window = 4;  ///< parts of a stream that the client has not taken, at most 256
    LinkServerOptions link{};  ///< of the name: mode, owner, group, directory; whom the server trusts
};

namespace service {

class ServerEnd;
class ServerClient;

struct CallLinks;   // the list tag
struct RoundLinks;  // the list tag

/// One call in the server's memory; its request lies behind it.
class ServerCall : public ListNode<CallLinks> {
public:
    ServerCall() noexcept = default;

    ServerEnd* end = nullptr;
    ServerClient* client = nullptr;  // null: gone
    Instant deadline = never;
    Credentials credentials{};
    std::uint32_t index = 0;
    bool in_hand = false;  // a task has it
    bool streamed = false;
    bool cancelled = false;        // by the client, or with it
    Errc gone = Errc::ended;       // how the client went, for those who still send to it
    Event cancelled_event;         // set with `cancelled`, and at the end of the call
    WaitList senders;              // of parts, waiting for a place
    std::byte* request = nullptr;  // request_size bytes
};

/// A client of the server, attached or not.
class ServerClient : public PortLink<ServerClient, ServerPort<ring::MachineAtomics>>,
                     public ListNode<RoundLinks> {
public:
    explicit ServerClient(ServerEnd& owner) noexcept : end_(owner) {}

private:
    friend PortLink;
    friend ServerEnd;
    [[nodiscard]] ListNode<RoundLinks>& in_round() noexcept { return *this; }
    bool take_entry() noexcept;
    void break_off() noexcept;

    ServerEnd& end_;
    Region region_;
    Mapping mapping_;
    std::span<ServerSlot> slots_;
    std::span<ServerCall*> calls_;  // by their index
    List<CallLinks> waiting_;
    List<CallLinks> in_hand_;
    std::uint64_t answered_ = 0;
    std::uint32_t live_ = 0;
    bool taken_ = false;
};

/// A task that waits for a call.
class TakeCallWait : public Waiter {
public:
    bool start(const Start& start) noexcept;

protected:
    explicit TakeCallWait(ServerEnd* end) noexcept : Waiter(kind), end_(end) {}
    ~TakeCallWait() = default;
    [[nodiscard]] Result<ServerCall*> taken() const noexcept {
        const auto ended = outcome();
        if (!ended) return failure(ended.error());
        return call_;
    }

private:
    friend ServerEnd;
    static constexpr Kind kind{"service next", nullptr};
    ServerEnd* end_;
    ServerCall* call_ = nullptr;
};

/// A task that waits for a place for a part.
class SendPartWait : public Waiter {
public:
    bool start(const Start& start) noexcept;
    Result<void> take() noexcept { return outcome(); }

protected:
    SendPartWait(ServerCall* call, const std::byte* part) noexcept : Waiter(kind), call_(call), part_(part) {}
    ~SendPartWait() = default;

private:
    friend ServerEnd;
    static constexpr Kind kind{"service send", nullptr};
    ServerCall* call_;
    const std::byte* part_;
};

class ServerEnd {
public:
    /// In memory of its own, until close() and the end of its last call.
    static Result<ServerEnd*> create(Scheduler& scheduler, const Name& name, const Shape& shape, Valid valid,
                                     const LinkTerms& terms, const ServiceOptions& options) noexcept;
    ServerEnd(const ServerEnd&) = delete;
    ServerEnd& operator=(const ServerEnd&) = delete;
    void close() noexcept;

    [[nodiscard]] std::uint32_t clients() const noexcept { return attached_; }
    [[nodiscard]] std::uint32_t calls() const noexcept { return live_; }
    [[nodiscard]] std::uint64_t breaches() const noexcept { return breaches_; }

    // --- of calls in hand

    /// Each of these ends the call.
    void reply(ServerCall& call, const std::byte* reply) noexcept;
    void finish(ServerCall& call) noexcept;
    void reject(ServerCall& call, std::uint32_t status) noexcept;
    /// What the client has said meanwhile.
    void look_at_client(ServerCall& call) noexcept;

private:
    friend ServerClient;
    friend TakeCallWait;
    friend SendPartWait;
    ServerEnd(Scheduler& scheduler, const Shape& shape, Valid valid, Mapping memory) noexcept
        : scheduler_(scheduler), shape_(shape), valid_(valid), memory_(std::move(memory)) {}
    ~ServerEnd() = default;

    static const LinkHooks hooks;
    static Result<LinkGrant> on_admit(void* owner, Link& link) noexcept;
    static void fill_region(void* owner, Link& link, Bytes region) noexcept;
    static void on_attached(void* owner, Link& link) noexcept;
    static void on_signal(void* owner, Link& link) noexcept;
    static std::uint32_t news(void* owner, const Link& link) noexcept;
    static void fill_stat(void* owner, LinkStat& stat) noexcept;
    static void fill_peer_stat(void* owner, const Link& link, LinkPeerStat& stat) noexcept;

    Result<LinkGrant> admit(ServerClient& client, Link& link) noexcept;
    bool on_entry(ServerClient& client) noexcept;
    void make_room(ServerClient& client) noexcept;
    void on_request(ServerClient& client, std::uint32_t index, std::uint64_t left_ns) noexcept;
    void on_cancel(ServerClient& client, std::uint32_t index) noexcept;
    void send_more(ServerCall& call) noexcept;
    void hand_out() noexcept;
    [[nodiscard]] ServerCall& take_next() noexcept;
    [[nodiscard]] bool look_for_calls() noexcept;
    /// What was put, if it was; else the client broke the protocol.
    void told(ServerClient& client, bool put) noexcept;
    void break_off(ServerClient& client) noexcept;
    void forget(ServerClient& client, Errc how) noexcept;
    void stop(ServerCall& call, Errc how) noexcept;
    void over(ServerCall& call) noexcept;
    void free_if_unused() noexcept;

    Scheduler& scheduler_;
    Shape shape_;
    Valid valid_;     // of requests
    Mapping memory_;  // in which this lies
    LinkServer server_;
    std::span<ServerClient> clients_;
    List<CallLinks> free_calls_;
    List<RoundLinks> round_;  // clients that have calls waiting
    WaitList takers_;
    std::uint64_t answered_ = 0;
    std::uint64_t breaches_ = 0;
    std::uint64_t sleeps_gone_ = 0;  // of clients that are gone
    std::uint32_t next_look_ = 0;
    std::uint32_t attached_ = 0;
    std::uint32_t live_ = 0;     // calls, waiting or in hand
    std::uint32_t in_hand_ = 0;  // calls that tasks have
    bool closed_ = false;
};

}  // namespace service
}  // namespace weir::ipc
