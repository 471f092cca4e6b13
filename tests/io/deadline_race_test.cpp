// SPDX-License-Identifier: MIT
//
// Bytes that come as a deadline passes: each ends up in a read's result or in the kernel, none in between. On the real
// backends another thread sends them; on the simulated one a task does, and the seed decides who is first.
#include <weir/weir.hpp>

#include "running.hpp"

#include <array>
#include <cstdio>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::test;
using std::chrono::microseconds;

constexpr std::uint32_t bytes_in_all = 20'000;
constexpr unsigned deadline_us_max = 30;
constexpr unsigned gap_us_max = 80;

class Random {
public:
    explicit Random(std::uint64_t seed) noexcept
        : state_(static_cast<std::uint32_t>(seed) * 2'654'435'761U + 1) {}
    /// From 0 to `most`.
    microseconds up_to(unsigned most) noexcept {
        state_ = state_ * 1'664'525U + 1'013'904'223U;
        return microseconds((state_ >> 8) % (most + 1));
    }

private:
    std::uint32_t state_;
};

std::byte byte_at(std::uint32_t index) noexcept {
    return static_cast<std::byte>(index * 31 + index / 256);
}

struct Tally {
    std::uint32_t bytes = 0;
    std::uint32_t time_outs = 0;
    std::uint32_t out_of_order = 0;

    void note(ConstBytes got) noexcept {
        for (const std::byte byte : got) out_of_order += byte == byte_at(bytes++) ? 0U : 1U;
    }
};

// --- the three ways to give a read a deadline

template <class Stream>
Task<> read_plainly(Scheduler&, Stream& stream, Random random, std::uint32_t wanted, Tally& tally) {
    std::array<std::byte, 16> buffer;
    while (tally.bytes < wanted) {
        const auto got = co_await stream.read(buffer).within(random.up_to(deadline_us_max));
        if (got) {
            tally.note(*got);
        } else if (got.error() == Errc::timed_out) {
            ++tally.time_outs;
        } else {
            co_return co_await fail(got.error());
        }
    }
}

template <class Stream>
Task<> read_beside_sleep(Scheduler&, Stream& stream, Random random, std::uint32_t wanted, Tally& tally) {
    std::array<std::byte, 16> buffer;
    while (tally.bytes < wanted) {
        const auto outcome = co_await first_of(stream.read(buffer), sleep_for(random.up_to(deadline_us_max)));
        // Whoever was first: what the read has is there.
        const auto& got = outcome.template get<0>();
        if (outcome.index() == 1) ++tally.time_outs;
        if (got) {
            tally.note(*got);
        } else if (got.error() != Errc::cancelled) {
            co_return co_await fail(got.error());
        }
    }
}

template <class Stream>
Task<std::size_t> read_some(Scheduler&, Stream& stream, Bytes into) {
    WEIR_CO_TRY(const auto got, stream.read(into));
    co_return got.size();
}
template <class Stream>
Task<std::size_t> read_some_deeper(Scheduler& scheduler, Stream& stream, Bytes into) {
    co_return co_await read_some(scheduler, stream, into);
}
template <class Stream>
Task<> read_in_tasks(Scheduler& scheduler, Stream& stream, Random random, std::uint32_t wanted,
                     Tally& tally) {
    std::array<std::byte, 16> buffer;
    while (tally.bytes < wanted) {
        const auto got =
            co_await read_some_deeper(scheduler, stream, buffer).within(random.up_to(deadline_us_max));
        if (got) {
            tally.note(std::span(buffer).first(*got));
        } else if (got.error() == Errc::timed_out) {
            ++tally.time_outs;
        } else {
            co_return co_await fail(got.error());
        }
    }
}

// --- who sends

void send_from_thread(const Fd& fd, std::uint64_t seed, std::uint32_t count) {
    Random random(seed + 99);
    for (std::uint32_t i = 0; i < count; ++i) {
        const Instant at = after(MonotonicClock::now(), random.up_to(gap_us_max));
        while (MonotonicClock::now() < at) {}
        const std::byte byte = byte_at(i);
        while (::write(fd.get(), &byte, 1) != 1) {}
    }
}
template <class Stream>
Task<> send_from_task(Scheduler&, Stream stream, std::uint64_t seed, std::uint32_t count) {
    Random random(seed + 99);
    for (std::uint32_t i = 0; i < count; ++i) {
        WEIR_CO_CHECK(sleep_for(random.up_to(gap_us_max)));
        const std::byte byte = byte_at(i);
        if constexpr (std::is_same_v<Stream, UnixSeqpacket>) {
            WEIR_CO_CHECK(stream.write({&byte, 1}));
        } else {
            WEIR_CO_CHECK(stream.write_all({&byte, 1}));
        }
    }
}

template <class Reader, class Writer, class Way>
void race(const char* what, Reader reader, Writer writer, Way way, std::uint64_t seed) {
    INFO(what);
    Running running(seed);
    Reader ours = std::move(reader);  // after the scheduler: a handle dies before the one that it is bound to
    Tally tally;
    const std::uint32_t wanted = on_simulated() ? bytes_in_all / 10 : repeats(bytes_in_all);
    if (on_simulated()) {
        running.must_run([](Scheduler& scheduler, Reader& from, Writer to, Way how, std::uint64_t luck,
                            std::uint32_t count, Tally& into) -> Task<> {
            WEIR_CO_CHECK(all_of(how(scheduler, from, Random(luck), count, into),
                                 send_from_task(scheduler, std::move(to), luck, count)));
        }(*running, ours, std::move(writer), way, seed, wanted, tally));
    } else {
        const Fd sending(writer.release());
        // The thread may wait for room: it knows nothing of weir.
        REQUIRE(::fcntl(sending.get(), F_SETFL, 0) == 0);
        std::thread sender([&sending, seed, wanted] { send_from_thread(sending, seed, wanted); });
        const auto outcome = running.run(way(*running, ours, Random(seed), wanted, tally));
        if (!outcome) ours.close();
        sender.join();
        INFO(Running::text_of_error(outcome));
        CHECK(outcome.has_value());
    }
    CHECK(tally.bytes == wanted);
    CHECK(tally.out_of_order == 0);
    if (repeats(100) >= 100) CHECK(tally.time_outs > 0);  // fewer bytes may meet none
    if (!on_simulated() || seed == first_seed()) {
        std::printf("%s, %s: %u bytes, %u deadlines passed, none lost\n", backend_name().c_str(), what,
                    tally.bytes, tally.time_outs);
    }
}

template <class PipeWay, class StreamWay>
void race_both(const char* on_pipe, PipeWay pipe_way, const char* on_stream, StreamWay stream_way) {
    for_each_seed([&](std::uint64_t seed) {
        auto pipe = Pipe::create();
        REQUIRE(pipe.has_value());
        race(on_pipe, std::move(pipe->reader), std::move(pipe->writer), pipe_way, seed);
        auto ends = UnixStream::pair();
        REQUIRE(ends.has_value());
        race(on_stream, std::move(ends->first), std::move(ends->second), stream_way, seed);
    });
}

TEST_CASE("no byte is lost to a read whose deadline passes as it comes") {
    race_both("plain reads of a pipe", read_plainly<PipeReader>, "plain reads of a stream",
              read_plainly<UnixStream>);
}
TEST_CASE("no byte is lost to a read that a sleep overtakes as it comes") {
    race_both("first_of on a pipe", read_beside_sleep<PipeReader>, "first_of on a stream",
              read_beside_sleep<UnixStream>);
}
TEST_CASE("no byte is lost to a task whose deadline passes as it comes") {
    race_both("tasks that read a pipe", read_in_tasks<PipeReader>, "tasks that read a stream",
              read_in_tasks<UnixStream>);
}

// --- sockets that carry messages, or go over the network

Task<> accept_tcp(Scheduler&, TcpListener& listener, TcpStream& into) {
    WEIR_CO_TRY(into, listener.accept());
}
Task<> connect_tcp(Scheduler&, SocketAddress to, TcpStream& into) {
    WEIR_CO_TRY(into, TcpStream::connect(to));
    WEIR_CO_CHECK(into.set_nodelay(true));
}
Task<> join_tcp(Scheduler& scheduler, TcpStream& client, TcpStream& server) {
    WEIR_CO_TRY(auto listener, TcpListener::bind(SocketAddress::v4({127, 0, 0, 1}, 0)));
    WEIR_CO_TRY(const SocketAddress address, listener.local());
    WEIR_CO_CHECK(all_of(accept_tcp(scheduler, listener, server), connect_tcp(scheduler, address, client)));
}
TEST_CASE("no message and no byte of TCP is lost to a read whose deadline passes as it comes") {
    for_each_seed([](std::uint64_t seed) {
        auto ends = UnixSeqpacket::pair();
        REQUIRE(ends.has_value());
        race("plain reads of messages", std::move(ends->first), std::move(ends->second),
             read_plainly<UnixSeqpacket>, seed);
        if (on_simulated()) return;  // the kernel's network delivers in real time
        Fd sending;
        Fd receiving;
        {
            Running running(seed);
            TcpStream client;
            TcpStream server;
            running.must_run(join_tcp(*running, client, server));
            sending = Fd(client.release());
            receiving = Fd(server.release());
        }
        race("plain reads of TCP", TcpStream(std::move(receiving)), TcpStream(std::move(sending)),
             read_plainly<TcpStream>, seed);
    });
}

}  // namespace
