// SPDX-License-Identifier: MIT
//
// What a backend moves arrives whole and in order, however tries and waits are mixed.
#include <weir/backend/backend.hpp>
#include <weir/sys/message.hpp>

#include "bare_backend.hpp"

#include <cerrno>
#include <random>
#include <string>
#include <string_view>

#include <mqueue.h>
#include <sys/socket.h>

namespace {

using namespace weir;
using namespace weir::test;
using Verb = Operation::Verb;

TEST_CASE("a stream read by tries and waits in any mix arrives whole and in order") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const SocketEnds sockets;
        const PipeEnds pipe;
        std::minstd_rand random(static_cast<unsigned>(seed));
        for (const Verb verb : {Verb::read, Verb::receive}) {
            const Fd& sink = verb == Verb::read ? pipe.writer : sockets.theirs;
            DescriptorEntry& entry = backend.entry(verb == Verb::read ? pipe.reader : sockets.ours);
            unsigned char sent = 0;
            unsigned char expected = 0;
            unsigned pending = 0;
            // Often nothing is there, often more than the buffer holds: a backend may guess, but never wrongly.
            for (int round = 0; round < 300; ++round) {
                for (unsigned count = random() % 4 * (random() % 8); count > 0 && pending < 64;
                     --count, ++pending) {
                    const char byte = static_cast<char>(sent++);
                    put(sink, {&byte, 1});
                }
                std::array<unsigned char, 8> buffer{};
                CountedOperation read(entry, verb, buffer.data(), 1 + random() % buffer.size());
                read.result = backend->attempt(read);
                if (read.result == -EAGAIN) {
                    backend.submit(read);
                    if (pending == 0) backend->cancel(read);
                    backend.wait_for(read);
                }
                if (pending == 0) {
                    CHECK(read.result == -ECANCELED);
                    continue;
                }
                REQUIRE(read.result > 0);
                for (long i = 0; i < read.result; ++i)
                    REQUIRE(buffer[static_cast<std::size_t>(i)] == expected++);
                pending -= static_cast<unsigned>(read.result);
            }
            backend.forget(entry);
        }
    });
}

struct MessageEnds {
    explicit MessageEnds(int type) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        ours = Fd(ends[0]);
        theirs = Fd(ends[1]);
    }
    Fd ours;
    Fd theirs;
};

TEST_CASE("messages received by tries and waits in any mix arrive whole, in order, with their descriptors") {
    for_each_seed([](std::uint64_t seed) {
        for (const int type : {SOCK_SEQPACKET, SOCK_DGRAM}) {
            BareBackend backend(seed);
            const MessageEnds sockets(type);
            DescriptorEntry& entry = backend.entry(sockets.ours);
            std::minstd_rand random(static_cast<unsigned>(seed));
            unsigned sent = 0;
            unsigned expected = 0;
            const auto send_one = [&] {
                std::array<unsigned, 4> numbers{sent, sent, sent, sent};
                sys::DescriptorMessage message(numbers.data(), sizeof(unsigned) * (1 + sent % 4));
                const int descriptor = sockets.ours.get();
                if (sent % 3 == 0) message.attach({&descriptor, 1});
                REQUIRE(sys::send_message(sockets.theirs.get(), message.header()) > 0);
                ++sent;
            };
            for (int round = 0; round < 200; ++round) {
                const bool before = random() % 2 == 0;
                if (before && sent == expected) send_one();
                // The header that the kernel writes to is good for the next try, too.
                std::array<unsigned, 4> numbers{};
                sys::DescriptorMessage message(numbers.data(), sizeof(numbers));
                message.make_room(2);
                CountedOperation receive(entry, Verb::receive_message, &message, sizeof(numbers));
                receive.result = backend->attempt(receive);
                if (receive.result == -EAGAIN) {
                    backend.submit(receive);
                    if (random() % 2 == 0) backend.look();
                    if (!before && random() % 2 == 0) {
                        if (receive.times_done == 0) backend->cancel(receive);
                    } else if (!before && receive.times_done == 0 && sent == expected) {
                        send_one();
                    }
                    backend.wait_for(receive);
                    REQUIRE(receive.times_done == 1);
                }
                if (receive.result == -ECANCELED) continue;
                REQUIRE(receive.result == static_cast<long>(sizeof(unsigned) * (1 + expected % 4)));
                REQUIRE(numbers[0] == expected);
                std::array<Fd, 2> came;
                REQUIRE(message.take(came) == (expected % 3 == 0 ? 1U : 0U));
                CHECK_FALSE(message.descriptors_cut());
                ++expected;
            }
            CHECK(expected == sent);
            CHECK(expected > 20);
            backend.forget(entry);
        }
    });
}

TEST_CASE("a message sent while there is no room waits for it, and goes whole") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const MessageEnds sockets(SOCK_SEQPACKET);
        DescriptorEntry& entry = backend.entry(sockets.ours);
        fill(sockets.ours);
        std::array<char, 3'000> bytes{};
        sys::PlainMessage message(bytes.data(), bytes.size());
        CountedOperation send(entry, Verb::send_message, &message, bytes.size());
        backend.submit(send);
        backend.look();
        CHECK(send.times_done == 0);
        drain(sockets.theirs);
        backend.wait_for(send);
        CHECK(send.result == static_cast<long>(bytes.size()));
        CHECK(drain(sockets.theirs) == bytes.size());
        backend.forget(entry);
    });
}

/// A queue without a name: it lives as long as its descriptors.
struct QueueEnds {
    QueueEnds() {
        const std::string path = "/weir-test-backend-" + std::to_string(::getpid());
        mq_attr attributes{};
        attributes.mq_maxmsg = 1;
        attributes.mq_msgsize = 8;
        const int flags = O_CREAT | O_EXCL | O_NONBLOCK | O_CLOEXEC;
        reader = Fd(::mq_open(path.c_str(), O_RDONLY | flags, 0600, &attributes));
        REQUIRE(reader);
        writer = Fd(::mq_open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
        REQUIRE(::mq_unlink(path.c_str()) == 0);
        REQUIRE(writer);
    }
    Fd reader;
    Fd writer;
};

TEST_CASE("a message of a queue is waited for in both directions, and a cancel loses none") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        QueueEnds queue;
        DescriptorEntry& in = backend.entry(queue.reader);
        DescriptorEntry& out = backend.entry(queue.writer);
        for (int round = 0; round < 100; ++round) {
            std::array<char, 8> sent{static_cast<char>('a' + round % 26)};
            std::array<char, 8> received{};
            QueueMessage outgoing{sent.data(), 1, 7};
            QueueMessage incoming{received.data(), received.size(), 0};
            CountedOperation receive(in, Verb::queue_receive, &incoming);
            backend.submit(receive);
            if (round % 3 == 0) backend.look();
            CHECK(receive.times_done == 0);
            REQUIRE(::mq_send(queue.writer.get(), "first", 5, 1) == 0);
            CountedOperation send(out, Verb::queue_send, &outgoing);
            backend.submit(send);
            if (round % 2 == 0 && receive.times_done == 0) backend->cancel(receive);
            backend.wait_for(receive);
            if (receive.result == -ECANCELED) {
                unsigned priority = 0;
                REQUIRE(::mq_receive(queue.reader.get(), received.data(), received.size(), &priority) == 5);
            } else {
                REQUIRE(receive.result == 5);
                CHECK(incoming.priority == 1);
            }
            CHECK(std::string_view(received.data(), 5) == "first");
            backend.wait_for(send);
            CHECK(send.result == 0);
            CHECK(receive.times_done == 1);
            CHECK(send.times_done == 1);
            CountedOperation second(in, Verb::queue_receive, &incoming);
            second.result = backend->attempt(second);
            if (second.result == -EAGAIN) {
                backend.submit(second);
                backend.wait_for(second);
            }
            REQUIRE(second.result == 1);
            CHECK(received[0] == sent[0]);
            CHECK(incoming.priority == 7);
        }
        CHECK(backend->in_flight() == 0);
        backend.forget(in);
        backend.forget(out);
    });
}

}  // namespace
