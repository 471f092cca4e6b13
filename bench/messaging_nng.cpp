// SPDX-License-Identifier: MIT
//
// bench_nng: topics and services by nng.
//
//   topic-1, topic-4             PUB to one or four SUB, which drops the oldest that a subscriber's queue has no room for
//   topic-asleep                 PUB to SUB and back, on one core
//   call-asleep, call-two-cores  REQ to REP, on one core and on two
//   calls-16                     the same in sixteen contexts of one socket, on two cores
//
// A process has a thread that polls, some that run what is to follow an operation, and others for timers and names; they
// start with the first socket. Who sends tries so at once, in its own thread. What a socket received last is what it
// sends next: no message is allocated for a call or its reply after the first.

#include "messaging.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <semaphore>
#include <utility>

#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

namespace bench {

namespace {

void check(int result, const char* what) {
    if (result == 0) return;
    std::fprintf(stderr, "%s: %s\n", what, nng_strerror(result));
    std::exit(1);
}

nng_msg* new_message() {
    nng_msg* message = nullptr;
    check(nng_msg_alloc(&message, sizeof(Record)), "nng_msg_alloc");
    return message;
}

// A message's body may lie at any address: what was received had a header before it.

void write(nng_msg* message, std::uint64_t number) {
    Record record;
    fill(record, number);
    std::memcpy(nng_msg_body(message), &record, sizeof record);
}
Record read(nng_msg* message) {
    if (nng_msg_len(message) != sizeof(Record)) check_record(1);
    Record record;
    std::memcpy(&record, nng_msg_body(message), sizeof record);
    return record;
}

/// What nng has in a process, which begins with the first socket.
class Context {
public:
    Context() = default;
    ~Context() { nng_fini(); }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
};

class Socket {
public:
    using Context = bench::Context;

    ~Socket() {
        if (kept_ != nullptr) nng_msg_free(kept_);
        nng_close(socket_);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    void send(std::uint64_t number) {
        nng_msg* const message = kept_ != nullptr ? std::exchange(kept_, nullptr) : new_message();
        write(message, number);
        check(nng_sendmsg(socket_, message, 0), "nng_sendmsg");
    }

    void receive(Record& record) {
        if (!take(record, 0)) fail("waited in vain");
    }
    bool try_receive(Record& record) { return take(record, NNG_FLAG_NONBLOCK); }

    nng_socket get() const noexcept { return socket_; }

protected:
    explicit Socket(int (*open)(nng_socket*)) { check(open(&socket_), "nng open"); }

    void set_queue(const char* option) {
        check(nng_socket_set_int(socket_, option, static_cast<int>(ring_slots)), option);
    }
    void listen(const char* address) { check(nng_listen(socket_, address, nullptr, 0), "nng_listen"); }
    void dial(const char* address) {
        check(nng_socket_set_ms(socket_, NNG_OPT_RECONNMINT, 1), NNG_OPT_RECONNMINT);
        // The other side may not listen yet.
        check(nng_dial(socket_, address, nullptr, NNG_FLAG_NONBLOCK), "nng_dial");
    }

private:
    bool take(Record& record, int flags) {
        nng_msg* message = nullptr;
        const int result = nng_recvmsg(socket_, &message, flags);
        if (result == NNG_EAGAIN) return false;
        check(result, "nng_recvmsg");
        record = read(message);
        if (kept_ != nullptr) nng_msg_free(kept_);
        kept_ = message;
        return true;
    }

    nng_socket socket_{};
    nng_msg* kept_ = nullptr;  // the message received last
};

class Publisher : public Socket {
public:
    Publisher(const Context&, const char* address) : Socket(nng_pub0_open) {
        set_queue(NNG_OPT_SENDBUF);
        listen(address);
    }
};

class Subscriber : public Socket {
public:
    Subscriber(const Context&, const char* address) : Socket(nng_sub0_open) {
        set_queue(NNG_OPT_RECVBUF);
        check(nng_socket_set(get(), NNG_OPT_SUB_SUBSCRIBE, nullptr, 0), NNG_OPT_SUB_SUBSCRIBE);
        dial(address);
    }
};

class Client : public Socket {
public:
    Client(const Context&, const char* address) : Socket(nng_req0_open) {
        // No timer beside each request.
        check(nng_socket_set_ms(get(), NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE),
              NNG_OPT_REQ_RESENDTIME);
        dial(address);
    }
};

class Server : public Socket {
public:
    Server(const Context&, const char* address) : Socket(nng_rep0_open) { listen(address); }
};

// --- calls in flight, each in a context of its own; whichever of nng's threads completes one goes on with the next

/// A context and what it does over and over: it sends, then receives, then its owner sends the next one.
class Exchange {
public:
    using OnReceived = void(Exchange&, nng_msg*, const Record&);

    Exchange() = default;
    ~Exchange() {
        if (aio_ == nullptr) return;
        nng_aio_stop(aio_);
        nng_aio_free(aio_);
    }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    void open(nng_socket socket, OnReceived* on_received) {
        on_received_ = on_received;
        check(nng_ctx_open(&context_, socket), "nng_ctx_open");
        check(nng_aio_alloc(&aio_, completed, this), "nng_aio_alloc");
    }
    void send(nng_msg* message, std::uint64_t number) {
        write(message, number);
        sent_ = number;
        sending_ = true;
        nng_aio_set_msg(aio_, message);
        nng_ctx_send(context_, aio_);
    }
    void receive() {
        sending_ = false;
        nng_ctx_recv(context_, aio_);
    }
    /// The number sent last.
    std::uint64_t sent() const noexcept { return sent_; }

private:
    static void completed(void* self) {
        auto& exchange = *static_cast<Exchange*>(self);
        const int result = nng_aio_result(exchange.aio_);
        if (result == NNG_ECLOSED || result == NNG_ECANCELED) return;  // the socket closes: all is over
        check(result, "an operation on a context");
        if (exchange.sending_) {
            exchange.receive();
        } else {
            nng_msg* const message = nng_aio_get_msg(exchange.aio_);
            exchange.on_received_(exchange, message, read(message));
        }
    }

    nng_ctx context_{};
    nng_aio* aio_ = nullptr;
    OnReceived* on_received_ = nullptr;
    std::uint64_t sent_ = 0;
    bool sending_ = false;
};
using Exchanges = std::array<Exchange, calls_in_flight>;

void reply_in_contexts(std::size_t) {
    end_with_parent();
    Context context;
    Server server(context, there_address());
    Exchanges exchanges;
    for (Exchange& exchange : exchanges) {
        exchange.open(server.get(), [](Exchange& self, nng_msg* message, const Record& question) {
            self.send(message, question.words[0]);
        });
        exchange.receive();
    }
    wait_until_over();
}

/// Of all contexts together.
struct Progress {
    Batches& batches;
    std::uint64_t asked;
    std::uint64_t replied = 0;
    std::mutex mutex{};
    std::binary_semaphore over{0};
};
Progress* progress = nullptr;

/// Counts a reply and says which number to ask next; 0 when all have been asked.
std::uint64_t next_number() {
    const std::lock_guard lock(progress->mutex);
    Batches& batches = progress->batches;
    if (++progress->replied % batches.batch_operations() == 0 && !batches.lap()) progress->over.release();
    return progress->asked < batches.operations() ? ++progress->asked : 0;
}

void ask_again(Exchange& exchange, nng_msg* message, const Record& reply) {
    check_record(difference(reply, exchange.sent()));
    if (const std::uint64_t number = next_number(); number != 0) {
        exchange.send(message, number);
    } else {
        nng_msg_free(message);
    }
}

void ask_in_contexts(Batches& batches) {
    Progress all{.batches = batches, .asked = calls_in_flight};
    progress = &all;
    Context context;
    Client client(context, there_address());
    Exchanges exchanges;
    batches.start();
    std::uint64_t number = 0;
    for (Exchange& exchange : exchanges) {
        exchange.open(client.get(), ask_again);
        exchange.send(new_message(), ++number);
    }
    all.over.acquire();
    attendance().over.store(true);
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    constexpr std::array approaches{
        NamedRing{"topic-1", one_way<Publisher, Subscriber, 1>()},
        NamedRing{"topic-4", one_way<Publisher, Subscriber, 4>()},
        NamedRing{"topic-asleep", there_and_back<Publisher, Subscriber>()},
        NamedRing{"call-asleep", calls<Client, Server>(1)},
        NamedRing{"call-two-cores", calls<Client, Server>(2)},
        NamedRing{"calls-16", many_calls(ask_in_contexts, reply_in_contexts)},
    };
    return ring_main(std::span(argv, static_cast<std::size_t>(argc)), approaches);
}
