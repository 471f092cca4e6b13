// SPDX-License-Identifier: MIT
//
// Calls from one process to another: a request, and a reply or a stream of them.
//
//     using Adder = Service<AddRequest, AddReply>;
//
//     WEIR_CO_TRY(auto server, Adder::Server::create(scheduler, "adder", {.clients_max = 8, .calls_max = 16}));
//     WEIR_CO_TRY(auto call, server.next());
//     call.reply({.sum = call->left + call->right});
//
//     WEIR_CO_TRY(auto client, Adder::Client::open(scheduler, "adder").within(2s));
//     auto reply = co_await client.call({.left = 2, .right = 40}).within(50ms);
//
// A client may have many calls in flight, answered in any order. The deadline of a call goes with its request, and its
// end, by the deadline or by a stop, reaches the server. Every call ends: with a reply, with the status that the server
// rejects it with (0 if the server drops it), or with the error that the server went with. While both sides are busy
// neither makes a system call.
//
// Requests and replies are portable records (types/layout.hpp). Each is copied and found valid before anybody reads it, so
// that neither side has to trust the other.
#pragma once

#include "weir/ipc/service/client_end.hpp"
#include "weir/ipc/service/server_end.hpp"
#include "weir/ipc/types/validity.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

namespace weir::ipc {

/// The name of a service. Its socket is in the runtime directory.
using ServiceName = Name;

/// What may be a request or a reply.
template <class T>
concept ServiceRecord = std::is_trivially_copyable_v<T> && alignof(T) <= cache_line &&
                        sizeof(T) <= (1U << 28);

/// A call in the hands of the server. Dropping it rejects it with status 0. Move-only; outlives its client and its
/// Server, and then answers nobody. Belongs to the thread of the server's scheduler.
class [[nodiscard]] ServiceCallBase {
public:
    explicit ServiceCallBase(service::ServerCall* call) noexcept : call_(call) {}
    ServiceCallBase(ServiceCallBase&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    ServiceCallBase& operator=(ServiceCallBase&& other) noexcept {
        if (this != &other) {
            drop();
            call_ = std::exchange(other.call_, nullptr);
        }
        return *this;
    }
    ~ServiceCallBase() { drop(); }

    /// Ends the call: its caller gets Errc::rejected with `status`, which means what both sides agreed on. 0 is what a
    /// dropped call says.
    void reject(std::uint32_t status) noexcept {
        service::ServerCall& call = over();
        call.end->reject(call, status);
    }
    /// Ends a stream in good order. (A call that is no stream is rejected with status 0.)
    void finish() noexcept {
        service::ServerCall& call = over();
        call.end->finish(call);
    }

    /// When the caller stops waiting, as it said when it called; `never` if it did not. A deadline outside of the await of
    /// the call itself comes as a cancellation.
    [[nodiscard]] Instant deadline() const noexcept { return live().deadline; }
    /// The caller does not wait any more, or is gone: an answer will be dropped. Looks at what it has said.
    [[nodiscard]] bool is_cancelled() const noexcept {
        live().end->look_at_client(*call_);
        return call_->cancelled;
    }
    /// Waits until is_cancelled(), or until the call is over. Errors: cancelled, timed_out. Takes no frame.
    [[nodiscard]] Event::Description cancelled() const noexcept { return live().cancelled_event.wait(); }
    /// The caller reads a stream.
    [[nodiscard]] bool is_streamed() const noexcept { return live().streamed; }
    /// Who calls, as the kernel said when it attached.
    [[nodiscard]] const Credentials& client() const noexcept { return live().credentials; }

protected:
    [[nodiscard]] service::ServerCall& live() const noexcept {
        WEIR_ASSERT(call_ != nullptr && "a call is used after its end");
        return *call_;
    }
    [[nodiscard]] service::ServerCall& over() noexcept {
        service::ServerCall& call = live();
        call_ = nullptr;
        return call;
    }

private:
    void drop() noexcept {
        if (call_ != nullptr) reject(0);
    }
    service::ServerCall* call_;
};

/// A service: both of its types, and what its two sides are called. A Server and a Client belong to one scheduler's
/// thread each.
template <ServiceRecord Request, ServiceRecord Reply>
struct Service {
    class Server;
    class Client;
    class Call;
    class Stream;

    /// How large everything is.
    [[nodiscard]] static constexpr service::Shape shape(std::uint32_t calls_max,
                                                        std::uint32_t window) noexcept {
        return {.calls_max = calls_max,
                .window = window,
                .request_size = sizeof(Request),
                .reply_size = sizeof(Reply),
                .alignment = alignment};
    }
    /// What both sides have to agree on.
    [[nodiscard]] static constexpr LinkTerms terms(std::uint32_t calls_max) noexcept {
        constexpr std::uint64_t layout =
            std::rotl(layout_hash<Request>(), 1) + 3 * layout_hash<Reply>();  // and not the other way round
        return {.object = service::service_object,
                .version = service::protocol_version,
                .layout = layout,
                .record_size = sizeof(Request),
                .depth = calls_max};
    }

private:
    static constexpr auto alignment =
        static_cast<std::uint32_t>(std::max({std::size_t{8}, alignof(Request), alignof(Reply)}));

    /// Null where any bytes are a T.
    template <class T>
    [[nodiscard]] static constexpr service::Valid valid() noexcept {
        if constexpr (always_valid<T>) {
            return nullptr;
        } else {
            return [](const std::byte* record) noexcept {
                const void* const at = record;
                return is_valid(*static_cast<const T*>(at));
            };
        }
    }
    static const std::byte* bytes(const Reply& reply) noexcept {
        return static_cast<const std::byte*>(static_cast<const void*>(&reply));
    }
    class TakeCall;
    class SendPart;
    class MakeCall;
    class OpenStream;
    class TakePart;
    class AwaitServer;
};

/// A call with its request.
template <ServiceRecord Request, ServiceRecord Reply>
class [[nodiscard]] Service<Request, Reply>::Call : public ServiceCallBase {
public:
    using ServiceCallBase::ServiceCallBase;

    /// A copy that nobody changes.
    [[nodiscard]] const Request& operator*() const noexcept {
        const void* const request = live().request;
        return *static_cast<const Request*>(request);
    }
    [[nodiscard]] const Request* operator->() const noexcept { return &**this; }

    /// Ends the call with its answer, which is dropped if the caller does not wait any more. Of a stream it is the only
    /// part. A system call only if the client sleeps.
    void reply(const Reply& reply) noexcept {
        service::ServerCall& call = over();
        call.end->reply(call, bytes(reply));
    }
    /// Waits until there is a place, and sends a part of a stream. Errors: ended (the caller does not read any more, or
    /// closed), peer_lost (it died), mismatch (the caller reads no stream), cancelled, timed_out, closed (the call was
    /// ended meanwhile). After an error the call still has to be ended. Takes no frame.
    [[nodiscard]] SendPart send(const Reply& part) noexcept { return SendPart(live(), part); }
};

/// See Call::send().
template <ServiceRecord Request, ServiceRecord Reply>
class [[nodiscard]] Service<Request, Reply>::SendPart : public Awaitable<SendPart> {
public:
    using Outcome = Result<void>;
    SendPart(service::ServerCall& call, const Reply& part) noexcept : call_(&call), part_(part) {}

    class Wait : public service::SendPartWait {
    public:
        explicit Wait(SendPart&& send) noexcept : SendPartWait(send.call_, bytes(part_)), part_(send.part_) {}

    private:
        Reply part_;
    };

private:
    service::ServerCall* call_;
    Reply part_;
};

/// See Server::next().
template <ServiceRecord Request, ServiceRecord Reply>
class [[nodiscard]] Service<Request, Reply>::TakeCall : public Awaitable<TakeCall> {
public:
    using Outcome = Result<Call>;
    explicit TakeCall(service::ServerEnd* end) noexcept : end_(end) {}

    class Wait : public service::TakeCallWait {
    public:
        explicit Wait(TakeCall&& take) noexcept : TakeCallWait(take.end_) {}
        Outcome take() noexcept {
            WEIR_TRY(service::ServerCall* const call, this->taken());
            return Call(call);
        }
    };

private:
    service::ServerEnd* end_;
};

/// Serves the name. Move-only. Takes one slot of the link table, and one for each client.
template <ServiceRecord Request, ServiceRecord Reply>
class Service<Request, Reply>::Server {
public:
    Server() noexcept = default;
    Server(Server&& other) noexcept : end_(std::exchange(other.end_, nullptr)) {}
    Server& operator=(Server&& other) noexcept {
        if (this != &other) {
            close();
            end_ = std::exchange(other.end_, nullptr);
        }
        return *this;
    }
    ~Server() { close(); }

    /// Makes all its memory but what it shares with a client, which is made when that comes, and serves `name`. Errors:
    /// invalid (bounds of 0, or beyond what ServiceOptions says), too_large (beyond 1 GiB), no_memory, no_files, in_use
    /// (the holder's pid), no_link, denied, not_found (no runtime directory).
    static Result<Server> create(Scheduler& scheduler, const ServiceName& name,
                                 const ServiceOptions& options = {}) noexcept {
        WEIR_TRY(service::ServerEnd* const end,
                 service::ServerEnd::create(scheduler, name, shape(options.calls_max, options.window),
                                            valid<Request>(), terms(options.calls_max), options));
        Server server;
        server.end_ = end;
        return server;
    }

    /// Waits for a call; any number of tasks may. Clients take turns. Errors: closed, cancelled, timed_out. Takes no frame.
    [[nodiscard]] TakeCall next() noexcept { return TakeCall(end_); }
    /// Tells every client `ended`, and gives the name up. Calls in hand stay with their tasks and answer nobody.
    void close() noexcept {
        if (end_ != nullptr) std::exchange(end_, nullptr)->close();
    }

    /// Attached now.
    [[nodiscard]] std::uint32_t clients() const noexcept { return end_ != nullptr ? end_->clients() : 0; }
    /// Calls that wait or are in hand, those of clients that are gone among them.
    [[nodiscard]] std::uint32_t calls() const noexcept { return end_ != nullptr ? end_->calls() : 0; }
    /// Clients that were turned out because they broke the protocol.
    [[nodiscard]] std::uint64_t breaches() const noexcept { return end_ != nullptr ? end_->breaches() : 0; }

private:
    service::ServerEnd* end_ = nullptr;
};

/// See Client::call().
template <ServiceRecord Request, ServiceRecord Reply>
class [[nodiscard]] Service<Request, Reply>::MakeCall : public Awaitable<MakeCall> {
public:
    using Outcome = Result<Reply>;
    MakeCall(service::ClientEnd* end, const Request& request) noexcept : end_(end), request_(request) {}

    /// As for every await; besides, the server learns of it.
    template <class Rep, class Period>
    [[nodiscard]] auto within(std::chrono::duration<Rep, Period> span) const noexcept {
        MakeCall copy = *this;
        copy.left_ = saturating_ns(span);
        return Timed<MakeCall>(std::move(copy), copy.left_);
    }
    [[nodiscard]] auto by(Instant deadline) const noexcept {
        MakeCall copy = *this;
        copy.until_ = deadline;
        return Timed<MakeCall>(std::move(copy), deadline);
    }

    class Wait : public service::CallWait {
    public:
        explicit Wait(MakeCall&& make) noexcept : CallWait(Kind::call, make.end_, make.left_, make.until_) {
            this->set_data(room_.data());
            std::memcpy(room_.data(), &make.request_, sizeof(Request));
        }
        Result<Reply> take() noexcept {
            if (this->error_) return failure(*this->error_);
            const void* const reply = room_.data();
            return *static_cast<const Reply*>(reply);
        }

    private:
        // First the request, then the reply.
        alignas(Request) alignas(Reply) std::array<std::byte, std::max(sizeof(Request), sizeof(Reply))> room_;
    };

private:
    service::ClientEnd* end_;
    Request request_;
    Duration left_ = Duration::max();
    Instant until_ = never;
};

/// See Client::stream().
template <ServiceRecord Request, ServiceRecord Reply>
class [[nodiscard]] Service<Request, Reply>::OpenStream : public Awaitable<OpenStream> {
public:
    using Outcome = Result<Stream>;
    OpenStream(service::ClientEnd* end, const Request& request, Instant until) noexcept
        : end_(end), request_(request), until_(until) {}

    class Wait : public service::CallWait {
    public:
        explicit Wait(OpenStream&& open) noexcept
            : CallWait(Kind::stream, open.end_, Duration::max(), open.until_) {
            this->set_data(room_.data());
            std::memcpy(room_.data(), &open.request_, sizeof(Request));
        }
        Result<Stream> take() noexcept {
            if (this->error_) return failure(*this->error_);
            return Stream(this->end(), this->index());
        }

    private:
        alignas(Request) std::array<std::byte, sizeof(Request)> room_;
    };

private:
    service::ClientEnd* end_;
    Request request_;
    Instant until_;
};

/// See Client::attach().
template <ServiceRecord Request, ServiceRecord Reply>
class [[nodiscard]] Service<Request, Reply>::AwaitServer : public Awaitable<AwaitServer> {
public:
    using Outcome = Result<void>;
    explicit AwaitServer(service::ClientEnd* end) noexcept : end_(end) {}

    class Wait : public service::CallWait {
    public:
        explicit Wait(AwaitServer&& await) noexcept
            : CallWait(Kind::attach, await.end_, Duration::max(), never) {}
        Result<void> take() noexcept {
            if (this->error_) return failure(*this->error_);
            return {};
        }
    };

private:
    service::ClientEnd* end_;
};

/// See Stream::next().
template <ServiceRecord Request, ServiceRecord Reply>
class [[nodiscard]] Service<Request, Reply>::TakePart : public Awaitable<TakePart> {
public:
    using Outcome = Result<Reply>;
    TakePart(service::ClientEnd* end, std::uint32_t index) noexcept : end_(end), index_(index) {}

    class Wait : public service::NextPartWait {
    public:
        explicit Wait(TakePart&& take) noexcept : NextPartWait(take.end_, take.index_) {}
        Result<Reply> take() noexcept {
            alignas(Reply) std::array<std::byte, sizeof(Reply)> part;
            const auto taken = this->take_to(part.data());
            if (!taken) return failure(taken.error());
            const void* const reply = part.data();
            return *static_cast<const Reply*>(reply);
        }
    };

private:
    service::ClientEnd* end_;
    std::uint32_t index_;
};

/// The parts of one call, as they come. Dropping it cancels the call. Move-only, while nobody waits for a part; outlives
/// its Client.
template <ServiceRecord Request, ServiceRecord Reply>
class [[nodiscard]] Service<Request, Reply>::Stream {
public:
    Stream() noexcept = default;
    Stream(service::ClientEnd& end, std::uint32_t index) noexcept : end_(&end), index_(index) {}
    Stream(Stream&& other) noexcept : end_(std::exchange(other.end_, nullptr)), index_(other.index_) {}
    Stream& operator=(Stream&& other) noexcept {
        if (this != &other) {
            close();
            end_ = std::exchange(other.end_, nullptr);
            index_ = other.index_;
        }
        return *this;
    }
    ~Stream() { close(); }

    /// Waits for the next part. After the last one: ended, or rejected with the server's status (0 if it dropped the
    /// call), or what the server went with: ended or peer_lost; corrupt. Others: cancelled, timed_out, busy (another task
    /// waits), closed. Takes no frame.
    [[nodiscard]] TakePart next() noexcept { return TakePart(end_, index_); }
    void close() noexcept {
        if (end_ != nullptr) std::exchange(end_, nullptr)->drop(index_);
    }

private:
    service::ClientEnd* end_ = nullptr;
    std::uint32_t index_ = 0;
};

/// Calls the name's server. Move-only. Takes one slot of the link table.
template <ServiceRecord Request, ServiceRecord Reply>
class Service<Request, Reply>::Client {
public:
    Client() noexcept = default;
    Client(Client&& other) noexcept : end_(std::exchange(other.end_, nullptr)) {}
    Client& operator=(Client&& other) noexcept {
        if (this != &other) {
            close();
            end_ = std::exchange(other.end_, nullptr);
        }
        return *this;
    }
    ~Client() { close(); }

    /// What open() returns: see there.
    class [[nodiscard]] Open : public Awaitable<Open> {
    public:
        using Outcome = Result<Client>;
        Open(const OpenLink& link, const ServiceClientOptions& options) noexcept
            : link_(link), successor_(options.successor), memory_max_(options.memory_max) {}
        class Wait : public OpenLink::Wait {
        public:
            explicit Wait(Open&& open) noexcept
                : OpenLink::Wait(OpenLink(open.link_)),
                  again_(open.link_),
                  successor_(open.successor_),
                  memory_max_(open.memory_max_) {}
            Result<Client> take() noexcept {
                WEIR_TRY(LinkClient link, OpenLink::Wait::take());
                WEIR_TRY(
                    service::ClientEnd* const end,
                    service::ClientEnd::create(std::move(link),
                                               {.request_size = sizeof(Request),
                                                .reply_size = sizeof(Reply),
                                                .alignment = alignment,
                                                .valid = valid<Reply>()},
                                               again_, {.successor = successor_, .memory_max = memory_max_}));
                Client client;
                client.end_ = end;
                return client;
            }

        private:
            OpenLink again_;
            Successor successor_;
            std::uint64_t memory_max_;
        };

    private:
        OpenLink link_;
        Successor successor_;
        std::uint64_t memory_max_;
    };

    /// Waits until `name` is served, attaches to it, and makes all the memory that calls take. Errors: those of
    /// open_link(): no_place (the server has its clients_max), mismatch (of other types), denied, no_link, no_memory,
    /// no_files, cancelled, timed_out; and too_large (a = its bytes, b = memory_max).
    [[nodiscard]] static Open open(Scheduler&, const ServiceName& name,
                                   const ServiceClientOptions& options = {}) noexcept {
        return Open(open_link(name, terms(0), options.link), options);
    }

    /// Makes a call and waits for its reply. Any number of tasks may have one at the same time, up to calls_max(). A
    /// deadline given to it goes to the server, and whatever ends the await cancels the call there; its place is free
    /// again when the server has let go of it. Errors: rejected (a = the server's status, 0 if it dropped the call),
    /// no_place (b = calls_max: so many are in flight; or b = the calls that the server can hold), ended or peer_lost (the
    /// server closed, or died: whether it did what it was asked is not known), corrupt (the server broke the protocol),
    /// closed, cancelled, timed_out; while nobody serves the name, with Successor::none, what the server ended with, and
    /// with Successor::await those of open_link() besides. Takes no frame. A system call only if the server sleeps.
    [[nodiscard]] MakeCall call(const Request& request) noexcept { return MakeCall(end_, request); }
    /// Makes a call whose reply comes in parts. The await ends when the request is written. `until` is what the server
    /// learns as the call's deadline, no more. Errors: those of call() but rejected.
    [[nodiscard]] OpenStream stream(const Request& request, Instant until = never) noexcept {
        return OpenStream(end_, request, until);
    }
    /// Waits until there is a server, and attaches to it anew if there was none. Errors: those of open(), closed.
    [[nodiscard]] AwaitServer attach() noexcept { return AwaitServer(end_); }
    /// Waits until there is no server: at once if there is none. Not after close().
    [[nodiscard]] Event::Description lost() noexcept {
        WEIR_ASSERT(end_ != nullptr && "a client is used after it was closed");
        return end_->lost().wait();
    }
    /// Ends all its calls with closed. Streams keep the parts that have come.
    void close() noexcept {
        if (end_ != nullptr) std::exchange(end_, nullptr)->close();
    }

    [[nodiscard]] bool attached() const noexcept { return end_ != nullptr && end_->attached(); }
    /// How often it was attached anew.
    [[nodiscard]] std::uint64_t restarts() const noexcept { return end_ != nullptr ? end_->restarts() : 0; }
    /// Calls that may be in flight at one time.
    [[nodiscard]] std::uint32_t calls_max() const noexcept { return end_ != nullptr ? end_->calls_max() : 0; }

private:
    service::ClientEnd* end_ = nullptr;
};

}  // namespace weir::ipc
