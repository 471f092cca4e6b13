// SPDX-License-Identifier: MIT
//
// When a wait ends, and what tells of it beforehand.
#include <weir/backend/backend.hpp>

#include "bare_backend.hpp"

#include <cerrno>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using Verb = Operation::Verb;

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

}  // namespace
