// SPDX-License-Identifier: MIT
#include <weir/io/readiness.hpp>

#include "running.hpp"
#include "support/skip.hpp"

#include <array>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

/// A connected pair that belongs to somebody else, in blocking mode.
struct ForeignPair {
    ForeignPair() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        ours = Fd(ends[0]);
        theirs = Fd(ends[1]);
    }
    void fill() const {
        std::array<char, 4096> bytes{};
        while (::send(ours.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {}
    }
    void drain() const {
        std::array<char, 4096> bytes;
        while (::recv(theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {}
    }
    Fd ours;
    Fd theirs;
};

Task<> waits(Scheduler&, int fd, bool in, std::optional<Errc>& seen, bool& done) {
    const auto direction = in ? readable(fd) : writable(fd);
    const auto ready = co_await direction;
    seen = code_of(ready);
    done = true;
}
Task<> makes_ready(Scheduler&, const ForeignPair& pair) {
    WEIR_CO_CHECK(sleep_for(1ms));
    CHECK_IN_TASK(::send(pair.theirs.get(), "x", 1, 0) == 1);
    pair.drain();
}
Task<> both_directions(Scheduler& scheduler, const ForeignPair& pair) {
    // Both become ready together, so both may be done by one wait.
    for (int round = 0; round < 20; ++round) {
        pair.fill();
        std::optional<Errc> in;
        std::optional<Errc> out;
        bool in_done = false;
        bool out_done = false;
        WEIR_CO_CHECK(all_of(waits(scheduler, pair.ours.get(), true, in, in_done),
                             waits(scheduler, pair.ours.get(), false, out, out_done),
                             makes_ready(scheduler, pair)));
        CHECK_IN_TASK((in_done && out_done));
        CHECK_IN_TASK((!in && !out));
        char byte;
        CHECK_IN_TASK(::recv(pair.ours.get(), &byte, 1, MSG_DONTWAIT) == 1);
        CHECK_IN_TASK(scheduler.usage().descriptors == 0);
    }
}
TEST_CASE("both directions of one foreign descriptor are awaited at once, and nothing of it is kept") {
    for_each_seed([](std::uint64_t seed) {
        const ForeignPair pair;
        Running running(seed);
        running.must_run(both_directions(*running, pair));
        // Its mode is its owner's.
        CHECK((::fcntl(pair.ours.get(), F_GETFL) & O_NONBLOCK) == 0);
    });
}

Task<> many_rounds(Scheduler&, const ForeignPair& pair) {
    // Ready at once: two tasks may hold the same entry while their results are queued.
    for (int i = 0; i < 200; ++i) {
        const auto both = co_await all_of(writable(pair.ours.get()), writable(pair.ours.get()));
        if (!both) CHECK_IN_TASK(code_of(both) == Errc::busy);
    }
}
Task<> many_rounds_in_many_tasks(Scheduler& scheduler, const ForeignPair& pair) {
    WEIR_CO_CHECK(
        all_of(many_rounds(scheduler, pair), many_rounds(scheduler, pair), many_rounds(scheduler, pair)));
}
TEST_CASE("several tasks may find the same descriptor ready") {
    for_each_seed([](std::uint64_t seed) {
        const ForeignPair pair;
        Running running(seed);
        const auto outcome = running.run(many_rounds_in_many_tasks(*running, pair));
        CHECK((outcome.has_value() || outcome.error() == Errc::busy));
        CHECK(running->usage().descriptors == 0);
    });
}

Task<> beside(Scheduler&, int fd, std::optional<Errc>& seen) {
    WEIR_CO_CHECK(yield());
    const auto got = co_await readable(fd);
    seen = code_of(got);
}
Task<> first_waits(Scheduler&, int fd, std::optional<Errc>& seen) {
    const auto got = co_await readable(fd).within(2ms);
    seen = code_of(got);
}
TEST_CASE("a second task that waits for the same direction is told busy") {
    for_each_seed([](std::uint64_t seed) {
        const ForeignPair pair;
        Running running(seed);
        std::optional<Errc> first;
        std::optional<Errc> second;
        running.must_run(
            [](Scheduler& scheduler, int fd, std::optional<Errc>& one, std::optional<Errc>& two) -> Task<> {
                WEIR_CO_CHECK(all_of(first_waits(scheduler, fd, one), beside(scheduler, fd, two)));
            }(*running, pair.ours.get(), first, second));
        CHECK(first == Errc::timed_out);
        CHECK(second == Errc::busy);
        CHECK(running->usage().descriptors == 0);
    });
}

Task<> asks(Scheduler&, int fd, std::optional<Errc>& in, std::optional<Errc>& out) {
    const auto read = co_await readable(fd);
    in = code_of(read);
    const auto write = co_await writable(fd);
    out = code_of(write);
}
TEST_CASE("a closed descriptor is closed, and a file or directory not_pollable") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        std::optional<Errc> in;
        std::optional<Errc> out;
        for (const int closed : {-1, 1'000'000}) {
            running.must_run(asks(*running, closed, in, out));
            CHECK(in == Errc::closed);
            CHECK(out == Errc::closed);
        }
        const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
        const Fd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        for (const Fd* const fd : {&file, &directory}) {
            running.must_run(asks(*running, fd->get(), in, out));
            CHECK(in == Errc::not_pollable);
            CHECK(out == Errc::not_pollable);
        }
        CHECK(running->usage().descriptors == 0);
    });
}

Task<> waits_for_hang_up(Scheduler&, int fd) {
    WEIR_CO_CHECK(readable(fd));
}
Task<> hangs_up(Scheduler&, Fd fd) {
    WEIR_CO_CHECK(sleep_for(1ms));
    fd.close();
}
TEST_CASE("a hang-up makes a descriptor readable, and its owner may close it then and reuse the number") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        for (int round = 0; round < 10; ++round) {
            ForeignPair pair;
            running.must_run([](Scheduler& scheduler, int fd, Fd other) -> Task<> {
                WEIR_CO_CHECK(
                    all_of(waits_for_hang_up(scheduler, fd), hangs_up(scheduler, std::move(other))));
            }(*running, pair.ours.get(), std::move(pair.theirs)));
        }
        CHECK(running->usage().descriptors == 0);
    });
}

Task<> times_out_again_and_again(Scheduler& scheduler, int fd) {
    for (int i = 0; i < 50; ++i) {
        const auto nothing = co_await readable(fd).within(10us);
        CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
        CHECK_IN_TASK(scheduler.usage().descriptors == 0);
    }
}
TEST_CASE("a wait that times out leaves nothing behind") {
    for_each_seed([](std::uint64_t seed) {
        const ForeignPair pair;
        Running running(seed);
        running.must_run(times_out_again_and_again(*running, pair.ours.get()));
    });
}

// --- beside a handle on the same descriptor

Task<> handle_reads(Scheduler&, UnixStream& stream, bool& done) {
    WEIR_CO_CHECK(yield());
    std::array<std::byte, 1> buffer;
    WEIR_CO_TRY(const auto got, stream.read(buffer));
    done = got.size() == 1;
}
Task<> foreign_waits_to_write(Scheduler&, int fd, bool& done) {
    WEIR_CO_CHECK(writable(fd));
    done = true;
}
Task<> peer_moves(Scheduler&, const ForeignPair& pair) {
    WEIR_CO_CHECK(sleep_for(1ms));
    pair.drain();
    WEIR_CO_CHECK(sleep_for(1ms));
    CHECK_IN_TASK(::send(pair.theirs.get(), "x", 1, 0) == 1);
}
TEST_CASE("a handle first awaited while somebody waits for readiness of its descriptor shares the place") {
    for_each_seed([](std::uint64_t seed) {
        ForeignPair pair;
        pair.fill();
        Running running(seed);
        auto stream = UnixStream::adopt(pair.ours.release());
        REQUIRE(stream.has_value());
        bool read = false;
        bool wrote = false;
        running.must_run([](Scheduler& scheduler, UnixStream& ours, const ForeignPair& ends, bool& in,
                            bool& out) -> Task<> {
            WEIR_CO_CHECK(all_of(foreign_waits_to_write(scheduler, ours.fd(), out),
                                 handle_reads(scheduler, ours, in), peer_moves(scheduler, ends)));
        }(*running, *stream, pair, read, wrote));
        CHECK(read);
        CHECK(wrote);
        CHECK(running->usage().descriptors == 1);
        stream->close();
        CHECK(running->usage().descriptors == 0);
    });
}

}  // namespace
