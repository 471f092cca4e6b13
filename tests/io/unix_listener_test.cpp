// SPDX-License-Identifier: MIT
//
// The listener of weir/io/unix_stream.hpp: accepting, and adopting. Its path is in served_path_test.cpp.
#include <weir/io/unix_stream.hpp>

#include "files_used_up.hpp"
#include "foreign_socket.hpp"
#include "running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

// --- accepting

Task<> accepts_some(Scheduler&, UnixListener& listener, std::size_t count,
                    std::vector<UnixStream>& accepted) {
    while (count-- > 0) {
        WEIR_CO_TRY(UnixStream peer, listener.accept());
        const HeapPermit permit;
        accepted.push_back(std::move(peer));
    }
}
Task<> connects(Scheduler&, std::string_view path, Duration patience, std::optional<Errc>& seen,
                UnixStream& peer) {
    auto connected = co_await UnixStream::connect(path).within(patience);
    seen = code_of(connected);
    if (connected) peer = std::move(*connected);
}

TEST_CASE("connecting waits while the backlog is full, until it is accepted or its deadline passes") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        auto listener = UnixListener::bind(path, {.backlog = 1});
        REQUIRE(listener.has_value());
        std::vector<Fd> clients;
        for (;;) {
            Fd client = plain_client(path);
            if (!client) break;
            clients.push_back(std::move(client));
        }
        CHECK(errno == EAGAIN);
        CHECK(clients.size() >= 1);
        std::optional<Errc> seen;
        UnixStream peer;
        running.must_run(connects(*running, path, 30ms, seen, peer));
        CHECK(seen == Errc::timed_out);
        std::vector<UnixStream> accepted;
        running.must_run([](Scheduler& scheduler, UnixListener& from, std::string_view to, std::size_t count,
                            std::vector<UnixStream>& into, std::optional<Errc>& outcome,
                            UnixStream& connected) -> Task<> {
            WEIR_CO_CHECK(all_of(connects(scheduler, to, 60s, outcome, connected),
                                 accepts_some(scheduler, from, count, into)));
        }(*running, *listener, path, clients.size() + 1, accepted, seen, peer));
        CHECK_FALSE(seen.has_value());
        CHECK(peer);
        CHECK(accepted.size() == clients.size() + 1);
    });
}

Task<> second_acceptor(Scheduler&, UnixListener& listener, std::optional<Errc>& seen) {
    WEIR_CO_CHECK(yield());
    const auto got = co_await listener.accept();
    seen = code_of(got);
}
Task<> accept_until(Scheduler&, UnixListener& listener, std::optional<Errc>& seen) {
    const auto got = co_await listener.accept().within(2ms);
    seen = code_of(got);
}
TEST_CASE("accept times out, and a second acceptor is told busy") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        Running running(seed);
        auto listener = UnixListener::bind(directory / "s");
        REQUIRE(listener.has_value());
        std::optional<Errc> first;
        std::optional<Errc> second;
        running.must_run([](Scheduler& scheduler, UnixListener& from, std::optional<Errc>& one,
                            std::optional<Errc>& two) -> Task<> {
            WEIR_CO_CHECK(all_of(accept_until(scheduler, from, one), second_acceptor(scheduler, from, two)));
        }(*running, *listener, first, second));
        CHECK(first == Errc::timed_out);
        CHECK(second == Errc::busy);
    });
}

Task<> frees_files_later(Scheduler&, FilesUsedUp& files) {
    WEIR_CO_CHECK(sleep_for(120ms));  // two of accept's pauses
    files.end();
}
Task<> says_who(Scheduler&, UnixListener& listener) {
    WEIR_CO_TRY(UnixStream peer, listener.accept());
    std::array<std::byte, 3> buffer;
    WEIR_CO_TRY(const auto got, peer.read_exactly(buffer));
    CHECK_IN_TASK(text_of(got) == "one");
}
TEST_CASE("accept pauses while no descriptor is left, then goes on with the same connection") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        auto listener = UnixListener::bind(path);
        REQUIRE(listener.has_value());
        const Fd client = plain_client(path);
        REQUIRE(client);
        REQUIRE(::write(client.get(), "one", 3) == 3);
        FilesUsedUp files;
        std::optional<Errc> seen;
        running.must_run(accept_until(*running, *listener, seen));
        CHECK(seen == Errc::timed_out);  // its deadline counts while it pauses, too
        running.must_run([](Scheduler& scheduler, UnixListener& from, FilesUsedUp& used) -> Task<> {
            WEIR_CO_CHECK(all_of(says_who(scheduler, from), frees_files_later(scheduler, used)));
        }(*running, *listener, files));
    });
}

Task<> is_turned_away(Scheduler&, UnixListener& listener) {
    const auto second = co_await listener.accept();
    CHECK_IN_TASK(code_of(second) == Errc::busy);
}
TEST_CASE("a second acceptor is told busy also while the first one pauses") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        auto listener = UnixListener::bind(path);
        REQUIRE(listener.has_value());
        const Fd client = plain_client(path);
        REQUIRE(client);
        FilesUsedUp files;
        std::optional<Errc> first;
        running.must_run([](Scheduler& scheduler, UnixListener& from, std::optional<Errc>& seen) -> Task<> {
            WEIR_CO_CHECK(all_of(accept_until(scheduler, from, seen), is_turned_away(scheduler, from)));
        }(*running, *listener, first));
        CHECK(first == Errc::timed_out);
    });
}

Task<> uses_up_then_frees(Scheduler&, Fd& client, const std::string& path) {
    std::optional<FilesUsedUp> files;
    WEIR_CO_CHECK(sleep_for(1ms));  // the acceptor waits in the kernel
    client = plain_client(path);
    files.emplace();
    CHECK_IN_TASK(::write(client.get(), "one", 3) == 3);
    WEIR_CO_CHECK(sleep_for(70ms));
    files.reset();
}
TEST_CASE("an acceptor that already waits pauses the same way") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        auto listener = UnixListener::bind(path);
        REQUIRE(listener.has_value());
        Fd client;
        running.must_run(
            [](Scheduler& scheduler, UnixListener& from, Fd& to, const std::string& where) -> Task<> {
                WEIR_CO_CHECK(all_of(says_who(scheduler, from), uses_up_then_frees(scheduler, to, where)));
            }(*running, *listener, client, path));
    });
}

TEST_CASE("the simulated backend can run out of files at any accept, and no connection is lost") {
    if (!on_simulated()) skip("faults are put in by the simulated backend only");
    SimulationOptions simulation;
    simulation.no_files = 100;
    for_each_seed([&](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed, simulation);
        auto listener = UnixListener::bind(path, {.backlog = 32});
        REQUIRE(listener.has_value());
        std::vector<Fd> clients;
        for (int i = 0; i < 20; ++i) clients.push_back(plain_client(path));
        std::vector<UnixStream> accepted;
        running.must_run(accepts_some(*running, *listener, clients.size(), accepted));
        CHECK(accepted.size() == clients.size());
    });
}

// Connections that come around the deadlines of accept: each is handed to exactly one accept.
constexpr int connections = 300;

std::uint32_t next_random(std::uint32_t& state) {
    state = state * 1'664'525U + 1'013'904'223U;
    return state >> 8;
}
Task<> connects_at_random(Scheduler&, std::string_view path, std::uint32_t random,
                          std::span<UnixStream> clients) {
    for (UnixStream& client : clients) {
        WEIR_CO_CHECK(sleep_for(std::chrono::microseconds(next_random(random) % 30)));
        WEIR_CO_TRY(client, UnixStream::connect(path));
        const auto number = static_cast<std::uint32_t>(&client - clients.data());
        WEIR_CO_CHECK(client.write_all(bytes_of(number)));
        client =
            UnixStream(Fd(client.release()));  // gives its entry back: there are fewer entries than clients
    }
}
Task<> accepts_at_random(Scheduler&, UnixListener& listener, std::uint32_t random,
                         std::span<UnixStream> accepted, int& time_outs) {
    std::size_t count = 0;
    while (count < accepted.size()) {
        auto got = co_await listener.accept().within(std::chrono::microseconds(next_random(random) % 31));
        if (got) {
            accepted[count++] = std::move(*got);
        } else {
            if (got.error() != Errc::timed_out) co_return co_await fail(got.error());
            ++time_outs;
        }
    }
}
Task<> all_arrive_in_order(Scheduler&, std::span<UnixStream> accepted) {
    std::uint32_t expected = 0;
    for (UnixStream& peer : accepted) {
        std::uint32_t number = ~0U;
        WEIR_CO_CHECK(peer.read_exactly(writable_bytes_of(number)));
        CHECK_IN_TASK(number == expected);
        ++expected;
        peer.close();
    }
}
TEST_CASE("no connection is lost to an accept whose deadline passes as it comes") {
    int time_outs = 0;
    for_each_seed([&time_outs](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        auto listener = UnixListener::bind(path, {.backlog = 64});
        REQUIRE(listener.has_value());
        std::vector<UnixStream> clients(connections);
        std::vector<UnixStream> accepted(connections);
        running.must_run([](Scheduler& scheduler, UnixListener& from, std::string_view to,
                            std::uint32_t random, std::span<UnixStream> ours, std::span<UnixStream> theirs,
                            int& count) -> Task<> {
            WEIR_CO_CHECK(all_of(connects_at_random(scheduler, to, random, ours),
                                 accepts_at_random(scheduler, from, random + 1, theirs, count)));
        }(*running, *listener, path, static_cast<std::uint32_t>(seed), clients, accepted, time_outs));
        running.must_run(all_arrive_in_order(*running, accepted));
    });
    if (repeats(100) >= 100) CHECK(time_outs > 0);  // a slow machine may meet none
}

// --- adopting

TEST_CASE("adopting takes listening unix stream sockets and leaves their path alone") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    Fd server = foreign_server(path);
    int connected[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, connected) == 0);
    CHECK(code_of(UnixListener::adopt(connected[0])) == Errc::wrong_kind);
    CHECK(code_of(UnixListener::adopt(-1)) == Errc::closed);
    {
        Running running;
        auto listener = UnixListener::adopt(server.release());
        REQUIRE(listener.has_value());
        CHECK(listener->path().empty());
        const Fd client = plain_client(path);
        REQUIRE(client);
        REQUIRE(::write(client.get(), "one", 3) == 3);
        running.must_run(says_who(*running, *listener));
    }
    CHECK(exists(path));
    ::close(connected[0]);
    ::close(connected[1]);
}

TEST_CASE("a listener adopted in blocking mode as standard input never blocks the scheduler") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    const auto end = run_in_child([&path] {
        {
            const Fd server = foreign_server(path);
            if (::dup2(server.get(), 0) != 0) return 2;
        }
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        if (!scheduler->start({.backend = *backend_choice(backend_name())})) return 3;
        auto listener = UnixListener::adopt(0);
        if (!listener) return 4;
        std::optional<Errc> seen;
        if (!scheduler->run(accept_until(*scheduler, *listener, seen)) || seen != Errc::timed_out) return 5;
        const Fd client = plain_client(path);
        seen = Errc::invalid;
        if (!scheduler->run(accept_until(*scheduler, *listener, seen)) || seen.has_value()) return 6;
        if ((::fcntl(0, F_GETFL) & O_NONBLOCK) != 0) return 7;
        return 0;
    });
    INFO(end.errors);
    CHECK(end.signal == 0);
    CHECK(end.exit_status == 0);
}

}  // namespace
