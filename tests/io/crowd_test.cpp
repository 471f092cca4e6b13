// SPDX-License-Identifier: MIT
//
// Many streams that are busy at the same time: io_uring then sends through its queue, and the bytes are the same.
#include <weir/io/tcp.hpp>
#include <weir/io/unix_stream.hpp>

#include "running.hpp"
#include "tcp_pair.hpp"

#include <array>
#include <cstdint>
#include <vector>

#include <sys/socket.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

constexpr std::size_t pairs_count = 12;
constexpr std::size_t tasks_max = 3 * pairs_count;

// What one client sends, more than a socket holds, and what comes back.
struct Traffic {
    std::vector<std::byte> sent;
    std::vector<std::byte> came;

    explicit Traffic(std::size_t number) : sent(700'000), came(sent.size()) {
        for (std::size_t i = 0; i < sent.size(); ++i)
            sent[i] = static_cast<std::byte>(i * 7 + i / 251 + number);
    }
};

template <class Stream>
struct Pairs {
    std::array<Stream, pairs_count> clients;
    std::array<Stream, pairs_count> servers;
    std::vector<Traffic> traffic;

    Pairs() {
        for (std::size_t i = 0; i < pairs_count; ++i) traffic.emplace_back(i);
    }
};

Task<> joins_all(Scheduler&, Pairs<UnixStream>& pairs) {
    for (std::size_t i = 0; i < pairs_count; ++i) {
        WEIR_CO_TRY(auto ends, UnixStream::pair());
        pairs.clients[i] = std::move(ends.first);
        pairs.servers[i] = std::move(ends.second);
    }
}
Task<> joins_all(Scheduler& scheduler, Pairs<TcpStream>& pairs) {
    for (std::size_t i = 0; i < pairs_count; ++i) {
        WEIR_CO_CHECK(joins(scheduler, loopback(), pairs.clients[i], pairs.servers[i]));
    }
}

template <class Stream>
Task<> sends(Scheduler&, Stream& stream, ConstBytes bytes) {
    WEIR_CO_CHECK(stream.write_all(bytes));
    WEIR_CO_CHECK(stream.shutdown_write());
}
template <class Stream>
Task<> takes(Scheduler&, Stream& stream, Bytes place) {
    WEIR_CO_CHECK(stream.read_exactly(place));
    std::array<std::byte, 1> more;
    WEIR_CO_TRY(const auto end, stream.read(more));
    CHECK_IN_TASK(end.empty());
}
template <class Stream>
Task<> echoes(Scheduler&, Stream& stream) {
    std::array<std::byte, 2'048> buffer;
    for (;;) {
        WEIR_CO_TRY(const auto got, stream.read(buffer));
        if (got.empty()) break;
        WEIR_CO_CHECK(stream.write_all(got));
    }
    WEIR_CO_CHECK(stream.shutdown_write());
}

template <class Stream>
Task<> spawns_all(Scheduler& scheduler, Group& group, Pairs<Stream>* pairs) {
    for (std::size_t i = 0; i < pairs_count; ++i) {
        WEIR_CO_CHECK(group.spawn(echoes(scheduler, pairs->servers[i])));
        WEIR_CO_CHECK(group.spawn(takes(scheduler, pairs->clients[i], Bytes(pairs->traffic[i].came))));
        WEIR_CO_CHECK(group.spawn(sends(scheduler, pairs->clients[i], ConstBytes(pairs->traffic[i].sent))));
    }
}
template <class Stream>
Task<> echoes_all(Scheduler& scheduler, Pairs<Stream>& pairs) {
    WEIR_CO_CHECK(joins_all(scheduler, pairs));
    WEIR_CO_CHECK(with_group<tasks_max>(scheduler, spawns_all<Stream>, &pairs));
}

template <class Stream>
void check_echoes() {
    Running running;
    Pairs<Stream> pairs;
    running.must_run(echoes_all(*running, pairs));
    for (const Traffic& traffic : pairs.traffic) CHECK((traffic.came == traffic.sent));  // not printed
}
TEST_CASE("what many streams send at the same time, more than fits, arrives whole and in order") {
    check_echoes<UnixStream>();
    // Simulated time would not wait for the kernel's own loopback.
    if (!on_simulated()) check_echoes<TcpStream>();
}

// Nobody reads: all of them come to wait for room.
template <class Stream>
Task<> waits_for_room(Scheduler&, Stream& stream, ConstBytes bytes, std::size_t& stopped) {
    const auto sent = co_await stream.write_all(bytes);
    if (code_of(sent) == Errc::cancelled && sent.error().a < bytes.size()) ++stopped;
    WEIR_CO_CHECK(sent);
}
template <class Stream>
Task<> spawns_senders(Scheduler& scheduler, Group& group, Pairs<Stream>* pairs, std::size_t* stopped) {
    for (std::size_t i = 0; i < pairs_count; ++i)
        WEIR_CO_CHECK(group.spawn(
            waits_for_room(scheduler, pairs->clients[i], ConstBytes(pairs->traffic[i].sent), *stopped)));
}
template <class Stream>
Task<> sends_for_a_while(Scheduler& scheduler, Pairs<Stream>& pairs) {
    WEIR_CO_CHECK(joins_all(scheduler, pairs));
    for (const Stream& client : pairs.clients) {
        const int size = 4'096;
        CHECK_IN_TASK(::setsockopt(client.fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
    }
    std::size_t stopped = 0;
    (void)co_await with_group<tasks_max>(scheduler, spawns_senders<Stream>, &pairs, &stopped).within(20ms);
    CHECK_IN_TASK(stopped == pairs_count);
}

template <class Stream>
void check_stop() {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        Pairs<Stream> pairs;
        running.must_run(sends_for_a_while(*running, pairs));
    });
}
TEST_CASE("many streams that wait for room are stopped together, and nothing of them is left") {
    check_stop<UnixStream>();
    if (!on_simulated()) check_stop<TcpStream>();
}

}  // namespace
