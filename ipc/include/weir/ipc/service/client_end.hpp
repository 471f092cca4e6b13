// SPDX-License-Identifier: MIT
//
// A client of a service: what does not depend on the types of requests and replies.
//
// Its memory is made when it is attached for the first time, since only then it knows how many calls it may have, and
// stays the same over restarts of the server. An await of a call lies in the task that makes it, and the reply is copied
// into it when it arrives; the parts of a stream are copied to places of the client's own, so that none is lost when the
// server goes.
//
// Attached anew it is by whoever makes the first call without a server, if its options say so. All calls wait meanwhile,
// each with its own deadline.
#pragma once

#include "weir/coro/event.hpp"
#include "weir/ipc/service/client_port.hpp"
#include "weir/ipc/service/port_link.hpp"

#include <optional>

namespace weir::ipc {

struct ServiceClientOptions {
    /// What becomes of calls while nobody serves the name. Those that wait do so for as long as each of them may.
    Successor successor = Successor::none;
    /// Bytes that the client may take for itself: how much it is the server says, by its bounds.
    std::uint64_t memory_max = std::uint64_t{64} << 20;
    LinkOpenOptions link{};
};

namespace service {

class ClientEnd;
class NextPartWait;
struct WaitingLinks;  // the list tag

/// What is exchanged.
struct Records {
    std::uint32_t request_size;
    std::uint32_t reply_size;
    std::uint32_t alignment;  ///< of both
    Valid valid;              ///< of replies
};

/// A task that makes a call, opens a stream, or waits until there is a server.
class CallWait : public Leaf, public ListNode<WaitingLinks> {
public:
    bool start(const Start& start) noexcept;
    void refuse(Errc code) noexcept { error_ = Error{.code = code, .operation = name()}; }

protected:
    enum class Kind : std::uint8_t { call, stream, attach };
    /// `left` counts from the start, unless it is max(): then `until` does.
    CallWait(Kind kind, ClientEnd* end, Duration left, Instant until) noexcept;
    /// It holds the request, and gets the reply.
    void set_data(std::byte* data) noexcept { data_ = data; }
    ~CallWait() = default;

    [[nodiscard]] ClientEnd& end() const noexcept { return *end_; }
    [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
    std::optional<Error> error_;

private:
    friend ClientEnd;
    static constexpr Pending::Kind kinds[3]{
        {"service call", nullptr}, {"service stream", nullptr}, {"service attach", nullptr}};
    static void stopped(Stoppable& self) noexcept;
    [[nodiscard]] ListNode<WaitingLinks>& waiting() noexcept { return *this; }
    void finish() noexcept {
        over_ = true;
        complete();
    }
    void fail(const Error& error) noexcept {
        error_ = Error{.code = error.code,
                       .system_errno = error.system_errno,
                       .operation = name(),
                       .a = error.a,
                       .b = error.b};
        finish();
    }

    ClientEnd* end_;
    std::byte* data_ = nullptr;
    Duration left_;
    Instant until_;
    std::uint32_t index_ = 0;
    Kind kind_;
    bool over_ = false;
};

/// A call or a stream in the client's memory.
struct ClientCall {
    CallWait* wait = nullptr;        // of a call
    WaitList readers;                // of a stream: one, if it waits
    NextPartWait* reader = nullptr;  // the same one, until it has its part
    std::optional<Error> ended;      // of a stream: after the last part
    std::uint32_t parts = 0;         // that arrived and were not taken
    std::uint32_t next = 0;          // number of the first of them
    std::uint32_t untold = 0;        // taken parts of which the server was not told
    bool abandoned = false;          // nobody waits for it any more

    void begin(CallWait* of) noexcept {
        wait = of;
        ended.reset();
        parts = next = untold = 0;
        abandoned = false;
    }
};

/// A task that waits for the next part of a stream.
class NextPartWait : public Waiter {
public:
    bool start(const Start& start) noexcept;

protected:
    NextPartWait(ClientEnd* end, std::uint32_t index) noexcept : Waiter(kind), end_(end), index_(index) {}
    ~NextPartWait() = default;
    /// Copies it to `part`.
    Result<void> take_to(std::byte* part) noexcept;

private:
    friend ClientEnd;
    static constexpr Kind kind{"service next part", nullptr};
    ClientEnd* end_;
    std::uint32_t index_;
};

class ClientEnd : public PortLink<ClientEnd, ClientPort<ring::MachineAtomics>> {
public:
    /// Takes over an attachment. In memory of its own, until close() and the end of its last stream. `again` opens another
    /// one; of `options` the link is not read. Errors: mismatch (memory that does not fit its terms), too_large, no_memory.
    static Result<ClientEnd*> create(LinkClient client, const Records& records, const OpenLink& again,
                                     const ServiceClientOptions& options) noexcept;
    ClientEnd(const ClientEnd&) = delete;
    ClientEnd& operator=(const ClientEnd&) = delete;
    void close() noexcept;

    [[nodiscard]] std::uint32_t calls_max() const noexcept { return shape_.calls_max; }
    /// How often it was attached anew.
    [[nodiscard]] std::uint64_t restarts() const noexcept { return restarts_; }
    /// Set while there is no server.
    [[nodiscard]] Event& lost() noexcept { return lost_; }
    /// The stream is dropped.
    void drop(std::uint32_t index) noexcept;

private:
    friend PortLink;
    friend CallWait;
    friend NextPartWait;
    ClientEnd(Scheduler& scheduler, const Shape& shape, const Records& records, const OpenLink& again,
              Mapping memory) noexcept;
    ~ClientEnd() = default;

    // The attachment that is being made anew.
    struct Opening {
        explicit Opening(ClientEnd& owner) noexcept;
        OpenLink::Wait wait;
        StopScope scope;
    };
    struct Opened : ReadyItem {
        explicit Opened(ClientEnd& owner) noexcept
            : ReadyItem([](ReadyItem& item) noexcept { static_cast<Opened&>(item).of.opened(); }),
              of(owner) {}
        ClientEnd& of;
    };

    static const LinkHooks hooks;
    static void on_signal(void* owner, Link& link) noexcept;
    bool take_entry() noexcept;
    void break_off() noexcept;
    Result<void> attach(LinkClient client) noexcept;
    void attach_checked(LinkClient client) noexcept;
    void reopen(const Start& start) noexcept;
    void opened() noexcept;
    /// Sends the request of a wait; false: it is over, with an error.
    bool begin_call(CallWait& wait) noexcept;
    void abandon(std::uint32_t index) noexcept;
    void on_final() noexcept;
    bool put_part(ClientCall& call, std::uint32_t index, std::uint32_t number) noexcept;
    [[nodiscard]] bool copy_reply(std::uint32_t index, std::uint32_t number, std::byte* to) const noexcept;
    void end_stream(ClientCall& call, const Error& error) noexcept;
    void tell_taken(ClientCall& call, std::uint32_t index) noexcept;
    void lose(const Error& why) noexcept;
    void told(bool put) noexcept;
    void fail_waiting(const Error& error) noexcept;
    void free_if_unused() noexcept;
    [[nodiscard]] std::byte* part_place(std::uint32_t index, std::uint32_t number) const noexcept;

    Scheduler& scheduler_;
    Shape shape_;
    Records records_;
    Mapping memory_;  // in which this lies
    LinkClient client_;
    OpenLink again_;
    std::optional<Opening> opening_;
    Opened opened_item_;
    std::span<ClientSlot> slots_;
    std::span<ClientCall> calls_;
    std::byte* parts_ = nullptr;
    List<WaitingLinks> waiting_;  // for a server
    Event lost_;
    Error last_{.code = Errc::closed, .operation = "service"};
    std::uint64_t restarts_ = 0;
    std::uint32_t live_ = 0;     // calls that the server has not ended
    std::uint32_t streams_ = 0;  // that somebody holds
    Successor successor_ = Successor::none;
    bool closed_ = false;
};

}  // namespace service
}  // namespace weir::ipc
