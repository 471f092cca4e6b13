// SPDX-License-Identifier: MIT
//
// The contract in weir/backend/backend.hpp, the same for every backend: trying, submitting, being done, and descriptors
// that are forgotten. What is moved, cancelled and waited for has files of its own.
#include <weir/backend/backend.hpp>

#include "bare_backend.hpp"

#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#include <fcntl.h>

namespace {

using namespace weir;
using namespace weir::test;
using Verb = Operation::Verb;

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
