// SPDX-License-Identifier: MIT
//
// The contract in weir/backend/backend.hpp, the same for every backend.
#include <weir/backend/backend.hpp>
#include <weir/sys/message.hpp>

#include "bare_backend.hpp"

#include <cerrno>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using Verb = Operation::Verb;

void put(const Fd& fd, std::string_view text) {
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

TEST_CASE("an attempt that would wait says so and leaves nothing behind") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const PipeEnds pipe;
        DescriptorEntry& entry = backend.entry(pipe.reader);
        std::array<char, 8> buffer{};
        CountedOperation read(entry, Verb::read, buffer.data(), buffer.size());
        CHECK(backend->attempt(read) == -EAGAIN);
        CHECK(backend->in_flight() == 0);
        CHECK_FALSE(entry.busy());
        put(pipe.writer, "late");
        backend.look();
        CHECK(read.times_done == 0);
        backend.forget(entry);
    });
}

TEST_CASE("a submitted operation is done once, and never from submit, even when it is ready already") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const PipeEnds pipe;
        DescriptorEntry& entry = backend.entry(pipe.reader);
        put(pipe.writer, "ready");
        std::array<char, 8> buffer{};
        std::size_t read_in_all = 0;
        while (read_in_all < 5) {
            CountedOperation read(entry, Verb::read, buffer.data() + read_in_all,
                                  buffer.size() - read_in_all);
            backend.submit(read);
            CHECK(read.times_done == 0);
            CHECK(backend->in_flight() == 1);
            CHECK(entry.waiting_in(Direction::in) == &read);
            backend.wait_for(read);
            backend.look();
            CHECK(read.times_done == 1);
            CHECK(entry.waiting_in(Direction::in) == nullptr);
            REQUIRE(read.result > 0);
            read_in_all += static_cast<std::size_t>(read.result);
        }
        CHECK(backend->in_flight() == 0);
        CHECK(std::string_view(buffer.data(), read_in_all) == "ready");
        backend.forget(entry);
    });
}

TEST_CASE("an operation is done with what arrives after it was handed to the kernel") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const SocketEnds sockets;
        DescriptorEntry& entry = backend.entry(sockets.ours);
        std::array<char, 8> buffer{};
        CountedOperation receive(entry, Verb::receive, buffer.data(), buffer.size());
        backend.submit(receive);
        backend.look();
        CHECK(receive.times_done == 0);
        put(sockets.theirs, "x");
        backend.wait_for(receive);
        CHECK(receive.result == 1);
        CHECK(buffer[0] == 'x');
        backend.forget(entry);
    });
}

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

TEST_CASE("an operation cancelled before anything came is done once, with ECANCELED") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const PipeEnds pipe;
        DescriptorEntry& entry = backend.entry(pipe.reader);
        for (const Verb verb : {Verb::read, Verb::readable, Verb::fifo_read}) {
            for (const bool handed_over : {false, true}) {
                std::array<char, 8> buffer{};
                CountedOperation operation(entry, verb, buffer.data(), buffer.size());
                backend.submit(operation);
                if (handed_over) backend.look();
                backend->cancel(operation);
                backend.wait_for(operation);
                backend.look();
                CHECK(operation.times_done == 1);
                CHECK(operation.result == -ECANCELED);
                CHECK(backend->in_flight() == 0);
            }
        }
        put(pipe.writer, "kept");
        CHECK(drain(pipe.reader) == 4);
        backend.forget(entry);
    });
}

TEST_CASE("a write cancelled while it waits for room has written nothing") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const PipeEnds pipe;
        DescriptorEntry& entry = backend.entry(pipe.writer);
        const std::size_t filled = fill(pipe.writer);
        char byte = 'w';
        CountedOperation write(entry, Verb::write, &byte, 1);
        backend.submit(write);
        backend.look();
        backend->cancel(write);
        backend.wait_for(write);
        CHECK(write.result == -ECANCELED);
        CHECK(drain(pipe.reader) == filled);
        backend.forget(entry);
    });
}

// The kernel calls an eventfd writable while 1 fits, whatever the count that waits.
struct NearlyFullEventFd {
    static constexpr std::uint64_t filled = ~std::uint64_t{0} - 3;  // 2 fit
    NearlyFullEventFd() : fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        REQUIRE(::write(fd.get(), &filled, sizeof(filled)) == sizeof(filled));
    }
    void empty() const {
        std::uint64_t count = 0;
        REQUIRE(::read(fd.get(), &count, sizeof(count)) == sizeof(count));
    }
    Fd fd;
};

TEST_CASE("a wait for more room than a writable descriptor has is no loop") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const NearlyFullEventFd event;
        DescriptorEntry& entry = backend.entry(event.fd);
        std::uint64_t count = 100;
        CountedOperation write(entry, Verb::write, &count, sizeof(count));
        write.stream = false;
        backend.submit(write);
        const Instant until = after(backend.now(), 2ms);
        int waits = 0;
        for (; backend.now() < until; ++waits) backend.wait(until);
        CHECK(write.times_done == 0);
        CHECK(waits < 16);
        event.empty();
        backend.wait_for(write);
        backend.look();
        CHECK(write.times_done == 1);
        CHECK(write.result == sizeof(count));
        CHECK(backend->in_flight() == 0);
        backend.forget(entry);
    });
}

TEST_CASE("a wait for more room than a writable descriptor has is cancelled like any other") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const NearlyFullEventFd event;
        DescriptorEntry& entry = backend.entry(event.fd);
        std::uint64_t count = 100;
        for (int round = 0; round < 40; ++round) {
            CountedOperation write(entry, Verb::write, &count, sizeof(count));
            write.stream = false;
            backend.submit(write);
            for (int i = 0; i < round % 4; ++i) backend.wait(Instant::min());
            const bool emptied_before = round % 5 == 0;
            if (emptied_before) event.empty();
            if (round % 3 == 0 && write.times_done == 0) backend.wait(Instant::min());
            if (write.times_done == 0) backend->cancel(write);
            if (round % 5 == 1) event.empty();
            backend.wait_for(write);
            backend.look();
            CHECK(write.times_done == 1);
            CHECK(backend->in_flight() == 0);
            CHECK_FALSE(entry.busy());
            const bool written = write.result == static_cast<long>(sizeof(count));
            CHECK((written || write.result == -ECANCELED));
            if (round % 5 > 1) CHECK_FALSE(written);
            // What is in the eventfd tells whether the write was made.
            if (round % 5 <= 1) {
                std::uint64_t found = 0;
                const bool any = ::read(event.fd.get(), &found, sizeof(found)) == sizeof(found);
                CHECK(any == written);
                REQUIRE(::write(event.fd.get(), &NearlyFullEventFd::filled, sizeof(found)) == sizeof(found));
            }
        }
        backend.forget(entry);
    });
}

TEST_CASE("bytes that come around a cancel are in its result or still in the kernel") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const PipeEnds pipe;
        DescriptorEntry& entry = backend.entry(pipe.reader);
        int won = 0;
        int lost = 0;
        for (int round = 0; round < 400; ++round) {
            char received = 0;
            const char sent = static_cast<char>('a' + round % 26);
            CountedOperation read(entry, Verb::read, &received, 1);
            backend.submit(read);
            // The byte comes before the hand-over, between it and the cancel, or after the cancel.
            if (round % 3 == 0) put(pipe.writer, {&sent, 1});
            if (round % 2 == 0) backend->wait(Instant::min()).map([] {});
            if (round % 3 == 1 && read.times_done == 0)
                put(pipe.writer, {&sent, 1});
            else if (round % 3 == 1)
                put(pipe.writer, {&sent, 1});
            if (read.times_done == 0) backend->cancel(read);
            if (round % 3 == 2) put(pipe.writer, {&sent, 1});
            backend.wait_for(read);
            CHECK(read.times_done == 1);
            if (read.result == 1) {
                ++won;
            } else {
                CHECK(read.result == -ECANCELED);
                ++lost;
                REQUIRE(::read(pipe.reader.get(), &received, 1) == 1);
            }
            REQUIRE(received == sent);
        }
        CHECK(won + lost == 400);
        backend.forget(entry);
    });
}

TEST_CASE("a queued cancel does not hit the next operation in the same frame") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const PipeEnds pipe;
        DescriptorEntry& entry = backend.entry(pipe.reader);
        alignas(CountedOperation) std::array<std::byte, sizeof(CountedOperation)> frame;
        for (int round = 0; round < 300; ++round) {
            const Verb verb = round % 2 == 0 ? Verb::read : Verb::readable;
            char first = 0;
            auto* const one = ::new (frame.data()) CountedOperation(entry, verb, &first, 1);
            backend.submit(*one);
            if (round % 3 == 0) backend.look();
            put(pipe.writer, "1");  // it completes while its cancel is still queued
            backend->cancel(*one);
            backend.wait_for(*one);
            REQUIRE(one->times_done == 1);
            std::destroy_at(one);
            drain(pipe.reader);

            char second = 0;
            auto* const two = ::new (frame.data()) CountedOperation(entry, verb, &second, 1);
            backend.submit(*two);
            backend.look();
            REQUIRE(two->times_done == 0);
            put(pipe.writer, "2");
            backend.wait_for(*two);
            REQUIRE(two->times_done == 1);
            REQUIRE(two->result > 0);
            std::destroy_at(two);
            drain(pipe.reader);
        }
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

TEST_CASE("cancelling twice is as cancelling once") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const PipeEnds pipe;
        DescriptorEntry& entry = backend.entry(pipe.reader);
        char byte = 0;
        CountedOperation read(entry, Verb::read, &byte, 1);
        backend.submit(read);
        backend.look();
        backend->cancel(read);
        if (read.times_done == 0) backend->cancel(read);
        backend.wait_for(read);
        backend.look();
        CHECK(read.times_done == 1);
        CHECK(read.result == -ECANCELED);
        backend.forget(entry);
    });
}

TEST_CASE("both directions of one descriptor wait at once") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const SocketEnds sockets;
        DescriptorEntry& entry = backend.entry(sockets.ours);
        fill(sockets.ours);
        char in = 0;
        char out = 'o';
        CountedOperation receive(entry, Verb::receive, &in, 1);
        CountedOperation send(entry, Verb::send, &out, 1);
        backend.submit(receive);
        backend.submit(send);
        backend.look();
        CHECK(receive.times_done + send.times_done == 0);
        put(sockets.theirs, "i");
        backend.wait_for(receive);
        CHECK(in == 'i');
        CHECK(send.times_done == 0);
        drain(sockets.theirs);
        backend.wait_for(send);
        CHECK(send.result == 1);
        // Again, after the interest in one direction may have been dropped.
        fill(sockets.ours);
        CountedOperation again(entry, Verb::send, &out, 1);
        backend.submit(again);
        backend.look();
        CHECK(again.times_done == 0);
        drain(sockets.theirs);
        backend.wait_for(again);
        CHECK(again.result == 1);
        backend.forget(entry);
    });
}

TEST_CASE("events of a forgotten descriptor whose duplicate lives are nobody's") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        SocketEnds old;
        DescriptorEntry& entry = backend.entry(old.ours);
        char byte = 0;
        CountedOperation first(entry, Verb::receive, &byte, 1);
        backend.submit(first);
        backend.look();
        put(old.theirs, "1");
        backend.wait_for(first);

        const Fd duplicate(::fcntl(old.ours.get(), F_DUPFD_CLOEXEC, 0));
        SocketEnds next;
        const int number = old.ours.get();
        const std::uint32_t generation = entry.generation;
        backend.forget(entry);
        old.ours.close();

        // The same number, the same entry, another object.
        const Fd same(::dup3(next.ours.get(), number, O_CLOEXEC));
        REQUIRE(same.get() == number);
        DescriptorEntry& reused = backend.entry(same);
        REQUIRE(&reused == &entry);
        CHECK(reused.generation != generation);
        CHECK(backend.descriptors().find(backend.descriptors().index_of(reused), generation) == nullptr);

        CountedOperation second(reused, Verb::receive, &byte, 1);
        backend.submit(second);
        put(old.theirs, "stale");
        backend.look();
        CHECK(second.times_done == 0);
        put(next.theirs, "2");
        backend.wait_for(second);
        CHECK(second.result == 1);
        CHECK(byte == '2');
        backend.forget(reused);
    });
}

TEST_CASE("events of a descriptor that was closed behind the backend's back are nobody's") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        SocketEnds old;
        SocketEnds next;
        DescriptorEntry& entry = backend.entry(old.ours);
        char byte = 0;
        CountedOperation first(entry, Verb::receive, &byte, 1);
        backend.submit(first);
        backend.look();
        put(old.theirs, "1");
        backend.wait_for(first);
        // The duplicate keeps the kernel's registration alive, and forgetting comes too late to end it.
        const Fd duplicate(::fcntl(old.ours.get(), F_DUPFD_CLOEXEC, 0));
        const int number = old.ours.get();
        old.ours.close();
        backend.forget(entry);
        const Fd same(::dup3(next.ours.get(), number, O_CLOEXEC));
        DescriptorEntry& reused = backend.entry(same);
        REQUIRE(&reused == &entry);
        CountedOperation second(reused, Verb::receive, &byte, 1);
        CountedOperation writable(reused, Verb::writable);
        fill(next.ours);
        backend.submit(second);
        backend.submit(writable);
        for (int i = 0; i < 10; ++i) {
            put(old.theirs, "stale");
            backend.look();
        }
        CHECK(second.times_done + writable.times_done == 0);
        put(next.theirs, "2");
        drain(next.theirs);
        backend.wait_for(second);
        backend.wait_for(writable);
        CHECK(byte == '2');
        CHECK(second.times_done == 1);
        CHECK(writable.times_done == 1);
        backend.forget(reused);
    });
}

TEST_CASE("a regular file or a directory cannot be waited for") {
    BareBackend backend;
    const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    const Fd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(file);
    REQUIRE(directory);
    for (const Fd* fd : {&file, &directory}) {
        DescriptorEntry& entry = backend.entry(*fd);
        for (const Verb verb : {Verb::readable, Verb::read}) {
            char byte = 0;
            CountedOperation operation(entry, verb, &byte, 1);
            CHECK(backend->submit(operation) == -EPERM);
            CHECK_FALSE(entry.busy());
            CHECK(backend->in_flight() == 0);
            backend.look();
            CHECK(operation.times_done == 0);
        }
        backend.forget(entry);
    }
}

TEST_CASE("more operations than the queues hold are all done") {
    for_each_seed([](std::uint64_t seed) {
        constexpr std::size_t count = 150;  // the queues have 4 and 8 entries
        BareBackend backend(seed, 4);
        std::vector<PipeEnds> pipes(count);
        std::vector<std::unique_ptr<CountedOperation>> reads;
        std::vector<char> bytes(count);
        std::vector<DescriptorEntry*> entries;
        for (std::size_t i = 0; i < count; ++i) {
            entries.push_back(&backend.entry(pipes[i].reader));
            const Verb verb = i % 2 == 0 ? Verb::read : Verb::fifo_read;
            reads.push_back(std::make_unique<CountedOperation>(*entries[i], verb, &bytes[i], 1));
            backend.submit(*reads[i]);
        }
        CHECK(backend->in_flight() == count);
        backend.look();
        CHECK(backend->in_flight() == count);
        for (std::size_t i = 0; i < count; ++i) {
            const char byte = static_cast<char>(i);
            put(pipes[i].writer, {&byte, 1});
        }
        for (std::size_t i = 0; i < count; ++i) backend.wait_for(*reads[i]);
        backend.look();
        CHECK(backend->in_flight() == 0);
        for (std::size_t i = 0; i < count; ++i) {
            CHECK(reads[i]->times_done == 1);
            CHECK(reads[i]->result == 1);
            CHECK(bytes[i] == static_cast<char>(i));
        }
        // And all cancelled at once, which takes as many entries again.
        for (std::size_t i = 0; i < count; ++i) {
            reads[i] = std::make_unique<CountedOperation>(*entries[i], Verb::read, &bytes[i], 1);
            backend.submit(*reads[i]);
        }
        for (std::size_t i = 0; i < count; ++i) backend->cancel(*reads[i]);
        for (std::size_t i = 0; i < count; ++i) backend.wait_for(*reads[i]);
        CHECK(backend->in_flight() == 0);
        for (std::size_t i = 0; i < count; ++i) {
            CHECK(reads[i]->times_done == 1);
            CHECK(reads[i]->result == -ECANCELED);
            backend.forget(*entries[i]);
        }
    });
}

TEST_CASE("a wait ends at its instant when nothing completes, and at once when that has passed") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const PipeEnds pipe;
        DescriptorEntry& entry = backend.entry(pipe.reader);
        char byte = 0;
        CountedOperation read(entry, Verb::read, &byte, 1);
        backend.submit(read);
        backend.wait(backend.now() - 1s);
        backend.wait(Instant::min());
        for (const Duration span : {Duration(1ns), Duration(50us), Duration(3ms)}) {
            const Instant until = backend.now() + span;
            while (backend.now() < until) backend.wait(until);
            CHECK(backend.now() >= until);
        }
        CHECK(read.times_done == 0);
        backend->cancel(read);
        backend.wait_for(read);
        backend.forget(entry);
    });
}

TEST_CASE("a wait without an end is ended by another thread's write") {
    BareBackend backend;
    const Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    DescriptorEntry& entry = backend.entry(event);
    for (int round = 0; round < 100; ++round) {
        std::uint64_t count = 0;
        CountedOperation read(entry, Verb::read, &count, sizeof(count));
        read.stream = false;
        backend.submit(read);
        std::thread other([&event] {
            const std::uint64_t one = 1;
            [[maybe_unused]] const auto written = ::write(event.get(), &one, sizeof(one));
        });
        backend.wait_for(read);
        other.join();
        CHECK(read.result == sizeof(count));
        CHECK(count == 1);
    }
    backend.forget(entry);
}

TEST_CASE("the poll descriptor is readable when a wait has something to collect") {
    if (on_simulated()) return;  // it has none
    BareBackend backend;
    CHECK(backend->poll_fd() >= 0);
    const PipeEnds pipe;
    DescriptorEntry& entry = backend.entry(pipe.reader);
    char byte = 0;
    CountedOperation read(entry, Verb::read, &byte, 1);
    backend.submit(read);
    backend.wait(Instant::min());
    pollfd waited{.fd = backend->poll_fd(), .events = POLLIN, .revents = 0};
    CHECK(::poll(&waited, 1, 0) == 0);
    put(pipe.writer, "p");
    CHECK(::poll(&waited, 1, -1) == 1);
    while (read.times_done == 0) backend.wait(Instant::min());
    CHECK(byte == 'p');
    backend.forget(entry);
}

TEST_CASE("a loop that leaves out its waits while the backend says that all is quiet still gets everything") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        const PipeEnds pipe;
        DescriptorEntry& entry = backend.entry(pipe.reader);
        std::size_t waits = 0;
        // What a scheduler does whose tasks are always ready.
        const auto busy_until_done = [&](const CountedOperation& operation) {
            const Instant patience = MonotonicClock::now() + 20s;
            while (operation.times_done == 0 && MonotonicClock::now() < patience) {
                if (backend->quiet()) continue;
                backend.wait(Instant::min());
                ++waits;
            }
            return operation.times_done == 1;
        };
        for (int round = 0; round < 20; ++round) {
            std::array<char, 8> buffer{};
            CountedOperation read(entry, Verb::read, buffer.data(), buffer.size());
            backend.submit(read);
            // Sometimes the kernel has it before the byte comes, sometimes not.
            for (int looks = 0; looks < round % 3; ++looks)
                if (!backend->quiet()) backend.wait(Instant::min());
            if (round % 4 == 3) {
                backend->cancel(read);
                REQUIRE(busy_until_done(read));
                CHECK(read.result == -ECANCELED);
                continue;
            }
            put(pipe.writer, "x");
            REQUIRE(busy_until_done(read));
            CHECK(read.result == 1);
        }
        CHECK(waits >= 10);
        backend.forget(entry);
    });
}

TEST_CASE("the peer's end completes what waits, in both directions") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        SocketEnds sockets;
        DescriptorEntry& entry = backend.entry(sockets.ours);
        fill(sockets.ours);
        char byte = 0;
        CountedOperation receive(entry, Verb::receive, &byte, 1);
        CountedOperation send(entry, Verb::send, &byte, 1);
        backend.submit(receive);
        backend.submit(send);
        backend.look();
        sockets.theirs.close();
        backend.wait_for(receive);
        backend.wait_for(send);
        // What it had not read was lost with it, so the kernel may call its end a reset.
        CHECK((receive.result == 0 || receive.result == -ECONNRESET));
        CHECK(send.result == -EPIPE);
        backend.forget(entry);
    });
}

TEST_CASE("hang-up completes a wait for readiness") {
    for_each_seed([](std::uint64_t seed) {
        BareBackend backend(seed);
        PipeEnds pipe;
        DescriptorEntry& reader = backend.entry(pipe.reader);
        CountedOperation readable(reader, Verb::readable);
        backend.submit(readable);
        backend.look();
        pipe.writer.close();
        backend.wait_for(readable);
        CHECK((readable.result & POLLHUP) != 0);
        backend.forget(reader);

        PipeEnds other;
        fill(other.writer);
        DescriptorEntry& writer = backend.entry(other.writer);
        CountedOperation writable(writer, Verb::writable);
        backend.submit(writable);
        backend.look();
        CHECK(writable.times_done == 0);
        other.reader.close();
        backend.wait_for(writable);
        CHECK((writable.result & POLLERR) != 0);
        backend.forget(writer);
    });
}

}  // namespace
