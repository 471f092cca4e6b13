// SPDX-License-Identifier: MIT
//
// bench_zmq: topics and services by ZeroMQ, its C interface.
//
//   topic-1, topic-4              PUB to one or four SUB, which drops what a subscriber's queue has no room for
//   topic-waits-1, topic-waits-4  the same, but the publisher waits for room
//   topic-asleep                  PUB to SUB and back, on one core
//   call-asleep, call-two-cores   REQ to REP, on one core and on two
//   calls-16                      DEALER to ROUTER, sixteen in flight, on two cores
//
// A context has one thread that does all input and output (ZMQ_IO_THREADS, its default): who sends puts a message into a
// queue and wakes that thread, who receives is woken by it.

#include "messaging.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <zmq.h>

namespace bench {

namespace {

[[noreturn]] void fail_zmq(const char* what) {
    std::fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
    std::exit(1);
}

void check(int result, const char* what) {
    if (result < 0) fail_zmq(what);
}

class Context {
public:
    Context() : context_(zmq_ctx_new()) {
        if (context_ == nullptr) fail_zmq("zmq_ctx_new");
    }
    ~Context() { zmq_ctx_term(context_); }  // waits for what was sent
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    void* get() const noexcept { return context_; }

private:
    void* context_;
};

class Socket {
public:
    using Context = bench::Context;

    ~Socket() { zmq_close(socket_); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    /// 64 bytes do not fit into a zmq_msg_t, so the library allocates them; this fills them in place.
    void send(std::uint64_t number) {
        zmq_msg_t message;
        check(zmq_msg_init_size(&message, sizeof(Record)), "zmq_msg_init_size");
        fill(*::new (zmq_msg_data(&message)) Record, number);
        check(zmq_msg_send(&message, socket_, 0), "zmq_msg_send");
    }

    void receive(Record& record) {
        if (!take(record, 0)) fail("waited in vain");
    }
    bool try_receive(Record& record) { return take(record, ZMQ_DONTWAIT); }

protected:
    Socket(const Context& context, int type) : socket_(zmq_socket(context.get(), type)) {
        if (socket_ == nullptr) fail_zmq("zmq_socket");
    }

    void set(int option, int value, const char* what) {
        check(zmq_setsockopt(socket_, option, &value, sizeof value), what);
    }
    void listen(const char* address) { check(zmq_bind(socket_, address), "zmq_bind"); }
    void dial(const char* address) {
        set(ZMQ_RECONNECT_IVL, 1, "ZMQ_RECONNECT_IVL");  // the other side may not listen yet
        check(zmq_connect(socket_, address), "zmq_connect");
    }
    void* get() const noexcept { return socket_; }

private:
    bool take(Record& record, int flags) {
        const int size = zmq_recv(socket_, &record, sizeof record, flags);
        if (size == sizeof record) return true;
        if (size < 0 && zmq_errno() != EAGAIN) fail_zmq("zmq_recv");
        if (size >= 0) check_record(1);
        return false;
    }

    void* socket_;
};

/// As many messages as weir's topics and the ones by hand have slots, on either side.
constexpr int high_water_mark = ring_slots;

enum class WhenFull { drops, waits };

template <WhenFull when_full>
class Publisher : public Socket {
public:
    Publisher(const Context& context, const char* address) : Socket(context, ZMQ_PUB) {
        set(ZMQ_SNDHWM, high_water_mark, "ZMQ_SNDHWM");
        if (when_full == WhenFull::waits) set(ZMQ_XPUB_NODROP, 1, "ZMQ_XPUB_NODROP");
        listen(address);
    }
};

class Subscriber : public Socket {
public:
    Subscriber(const Context& context, const char* address) : Socket(context, ZMQ_SUB) {
        set(ZMQ_RCVHWM, high_water_mark, "ZMQ_RCVHWM");
        check(zmq_setsockopt(get(), ZMQ_SUBSCRIBE, nullptr, 0), "ZMQ_SUBSCRIBE");
        dial(address);
    }
};

class Client : public Socket {
public:
    Client(const Context& context, const char* address) : Socket(context, ZMQ_REQ) { dial(address); }
};

class Server : public Socket {
public:
    Server(const Context& context, const char* address) : Socket(context, ZMQ_REP) { listen(address); }
};

class ManyClient : public Socket {
public:
    ManyClient(const Context& context, const char* address) : Socket(context, ZMQ_DEALER) { dial(address); }
};

/// A request comes as two frames, the first of which names the client and is sent back with the reply.
class ManyServer : public Socket {
public:
    ManyServer(const Context& context, const char* address) : Socket(context, ZMQ_ROUTER) {
        check(zmq_msg_init(&client_), "zmq_msg_init");
        listen(address);
    }
    ~ManyServer() { zmq_msg_close(&client_); }
    ManyServer(const ManyServer&) = delete;
    ManyServer& operator=(const ManyServer&) = delete;

    void receive(Record& record) {
        check(zmq_msg_recv(&client_, get(), 0), "zmq_msg_recv");
        Socket::receive(record);
    }
    void send(std::uint64_t number) {
        check(zmq_msg_send(&client_, get(), ZMQ_SNDMORE), "zmq_msg_send");
        Socket::send(number);
    }

private:
    zmq_msg_t client_{};
};

/// One connection, and one call after the other: replies come in order.
void call_many(Batches& batches) {
    Context context;
    ManyClient client(context, there_address());
    Record reply;
    std::uint64_t asked = 0;
    std::uint64_t replied = 0;
    while (asked < calls_in_flight) client.send(++asked);
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            client.receive(reply);
            check_record(difference(reply, ++replied));
            if (asked < batches.operations()) client.send(++asked);
        }
    } while (batches.lap());
    attendance().over.store(true);
}

using Dropping = Publisher<WhenFull::drops>;
using Waiting = Publisher<WhenFull::waits>;

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    constexpr std::array approaches{
        NamedRing{"topic-1", one_way<Dropping, Subscriber, 1>()},
        NamedRing{"topic-4", one_way<Dropping, Subscriber, 4>()},
        NamedRing{"topic-waits-1", one_way<Waiting, Subscriber, 1>()},
        NamedRing{"topic-waits-4", one_way<Waiting, Subscriber, 4>()},
        NamedRing{"topic-asleep", there_and_back<Dropping, Subscriber>()},
        NamedRing{"call-asleep", calls<Client, Server>(1)},
        NamedRing{"call-two-cores", calls<Client, Server>(2)},
        NamedRing{"calls-16", many_calls(call_many, answer_all<ManyServer>)},
    };
    return ring_main(std::span(argv, static_cast<std::size_t>(argc)), approaches);
}
