// SPDX-License-Identifier: MIT
//
// A cancel is a request: the operation is done once, and what had arrived by then is in its result.
#include <weir/backend/backend.hpp>

#include "bare_backend.hpp"

#include <cerrno>
#include <memory>
#include <new>

#include <sys/eventfd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using Verb = Operation::Verb;

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

}  // namespace
