// SPDX-License-Identifier: MIT
//
// The listener of weir/io/unix_stream.hpp: its path, its lock, and accepting.
#include <weir/io/unix_stream.hpp>

#include "files_used_up.hpp"
#include "forked.hpp"
#include "running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

class Umask {
public:
    explicit Umask(mode_t mask) : before_(::umask(mask)) {}
    Umask(const Umask&) = delete;
    Umask& operator=(const Umask&) = delete;
    ~Umask() { ::umask(before_); }

private:
    mode_t before_;
};

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
    return address;
}
/// A server that knows nothing of weir's lock.
Fd foreign_server(const std::string& path) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(fd.get(), 4) == 0);
    return fd;
}
Fd plain_client(const std::string& path) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_un address = address_of(path);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) fd.close();
    return fd;
}

// --- the path

TEST_CASE("the path's mode is exactly the one asked for, whatever the umask") {
    const TemporaryDirectory directory;
    for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}, mode_t{0777}}) {
        const Umask hostile(mask);
        for (const mode_t mode : {mode_t{0600}, mode_t{0660}, mode_t{0666}, mode_t{0777}, mode_t{0}}) {
            auto listener = UnixListener::bind(directory / "s", {.mode = mode});
            REQUIRE(listener.has_value());
            CHECK(mode_of(directory / "s") == static_cast<int>(mode));
            CHECK(mode_of(directory / "s.lock") == 0600);
        }
    }
}

TEST_CASE("root gives the path to the owner and group asked for") {
    if (::geteuid() != 0) skip("only root may give files away");
    const TemporaryDirectory directory;
    auto listener = UnixListener::bind(directory / "s", {.mode = 0620, .owner = 4242, .group = 4343});
    REQUIRE(listener.has_value());
    struct stat status {};
    REQUIRE(::lstat((directory / "s").c_str(), &status) == 0);
    CHECK(status.st_uid == 4242);
    CHECK(status.st_gid == 4343);
    CHECK(mode_of(directory / "s") == 0620);
}

TEST_CASE("an unprivileged server under a hostile umask binds, and its rival learns its pid") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    const auto end = run_unprivileged([&path, &directory] {
        if (::geteuid() == 0) return 2;
        ::umask(0777);
        auto first = UnixListener::bind(path, {.mode = 0640});
        if (!first || mode_of(path) != 0640) return 3;
        const auto second = UnixListener::bind(path);
        if (code_of(second) != Errc::in_use) return 4;
        if (second.error().a != static_cast<std::uint64_t>(::getpid())) return 5;
        // It may not give the path away.
        const auto given = UnixListener::bind(directory / "given", {.owner = 0});
        if (code_of(given) != Errc::denied) return 6;
        if (exists(directory / "given") || exists(directory / "given.lock")) return 7;
        return 0;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("an unprivileged server is denied where it may not write") {
    const TemporaryDirectory directory;
    REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
    if (::geteuid() != 0) skip("the directory would be its own");
    const auto end = run_unprivileged([&directory] {
        if (::geteuid() == 0) return 2;
        return code_of(UnixListener::bind(directory / "s")) == Errc::denied ? 0 : 1;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("closing removes the path and the lock, by close, destructor, or assignment") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    {
        auto listener = UnixListener::bind(path);
        REQUIRE(listener.has_value());
        CHECK(listener->path() == path);
        CHECK(exists(path));
        CHECK(exists(path + ".lock"));
        listener->close();
        CHECK_FALSE(exists(path));
        CHECK_FALSE(exists(path + ".lock"));
        listener->close();
    }
    {
        auto listener = UnixListener::bind(path);
        REQUIRE(listener.has_value());
        UnixListener moved = std::move(*listener);
        CHECK(exists(path));
        auto other = UnixListener::bind(directory / "other");
        REQUIRE(other.has_value());
        moved = std::move(*other);
        CHECK_FALSE(exists(path));
        CHECK(moved.path() == directory / "other");
        CHECK(exists(directory / "other"));
    }
    CHECK_FALSE(exists(directory / "other"));
    CHECK_FALSE(exists(directory / "other.lock"));
}

TEST_CASE("a released listener leaves its path, served by whoever has the descriptor") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    Fd released;
    {
        auto listener = UnixListener::bind(path);
        REQUIRE(listener.has_value());
        released = Fd(listener->release());
    }
    CHECK(exists(path));
    CHECK(plain_client(path));
    // It still serves, so nobody may take the path over.
    CHECK(code_of(UnixListener::bind(path)) == Errc::in_use);
    CHECK(plain_client(path));
}

TEST_CASE("a socket that outlives the process that listened on it is taken over") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    const Fd outlives(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path);
    REQUIRE(::bind(outlives.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    const auto end = run_in_child([&outlives] { return ::listen(outlives.get(), 4); });
    REQUIRE(end.exit_status == 0);
    REQUIRE(plain_client(path));
    auto listener = UnixListener::bind(path);
    REQUIRE(listener.has_value());
    CHECK(plain_client(path));
}

TEST_CASE("a relative path is bound, connected to, and removed wherever the process has gone") {
    const TemporaryDirectory directory;
    const auto end = run_in_child([&directory] {
        if (::chdir(directory.path().c_str()) != 0) return 2;
        auto listener = UnixListener::bind("s.sock");
        if (!listener || !exists(directory / "s.sock")) return 3;
        if (!plain_client("s.sock")) return 4;
        if (listener->path() != directory / "s.sock" || ::chdir("/") != 0) return 6;
        listener->close();
        return exists(directory / "s.sock") || exists(directory / "s.sock.lock") ? 5 : 0;
    });
    CHECK(end.exit_status == 0);
}

TEST_CASE("a path to bind is neither empty, nor too long, nor abstract, nor cut at a zero") {
    const TemporaryDirectory directory;
    const auto too_long = UnixListener::bind(std::string(BoundedPath::size_max + 1, 'p'));
    REQUIRE(code_of(too_long) == Errc::too_large);
    CHECK(too_long.error().a == BoundedPath::size_max + 1);
    CHECK(too_long.error().b == BoundedPath::size_max);
    CHECK_FALSE(UnixListener::bind("").has_value());
    CHECK(code_of(UnixListener::bind(std::string("\0abstract", 9))) == Errc::invalid);
    CHECK(code_of(UnixListener::bind((directory / "s") + std::string("\0tail", 5))) == Errc::invalid);
    CHECK_FALSE(exists(directory / "s"));
    // The longest that fits, with its lock beside it.
    std::string longest = directory.path() + "/";
    longest.append(BoundedPath::size_max - longest.size(), 'p');
    auto listener = UnixListener::bind(longest);
    REQUIRE(listener.has_value());
    CHECK(exists(longest));
    CHECK(exists(longest + ".lock"));
    CHECK(plain_client(longest));
    CHECK(code_of(UnixListener::bind(directory / "missing/s")) == Errc::not_found);
}

TEST_CASE("what is no socket is left untouched where one is to be bound") {
    const TemporaryDirectory directory;
    std::ofstream(directory / "file") << "precious";
    REQUIRE(::mkdir((directory / "directory").c_str(), 0755) == 0);
    REQUIRE(::symlink((directory / "file").c_str(), (directory / "link").c_str()) == 0);
    REQUIRE(::symlink((directory / "nowhere").c_str(), (directory / "dangling").c_str()) == 0);
    for (const char* const name : {"file", "directory", "link", "dangling"}) {
        INFO(name);
        CHECK(code_of(UnixListener::bind(directory / name)) == Errc::invalid);
        CHECK(exists(directory / name));
        CHECK_FALSE(exists((directory / name) + ".lock"));
    }
    std::string content;
    std::ifstream(directory / "file") >> content;
    CHECK(content == "precious");
    CHECK_FALSE(exists(directory / "nowhere"));
}

// --- whose path it is

TEST_CASE("a path in use is refused with its holder's pid, and taken over once the holder was killed") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    ForkedHolder holder([&path] {
        static Result<UnixListener> listener = UnixListener::bind(path);
        return listener.has_value();
    });
    const auto refused = UnixListener::bind(path);
    REQUIRE(code_of(refused) == Errc::in_use);
    CHECK(refused.error().a == static_cast<std::uint64_t>(holder.pid()));
    CHECK(plain_client(path));
    holder.kill();
    CHECK(exists(path));  // as it was left
    CHECK(exists(path + ".lock"));
    auto successor = UnixListener::bind(path, {.mode = 0660});
    REQUIRE(successor.has_value());
    CHECK(mode_of(path) == 0660);
    CHECK(plain_client(path));
    const auto rival = UnixListener::bind(path);
    REQUIRE(code_of(rival) == Errc::in_use);
    CHECK(rival.error().a == static_cast<std::uint64_t>(::getpid()));
}

TEST_CASE("a foreign server without our lock keeps its path") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    Fd server = foreign_server(path);
    CHECK(code_of(UnixListener::bind(path)) == Errc::in_use);
    CHECK(plain_client(path));
    CHECK_FALSE(exists(path + ".lock"));
    // Its backlog may be full.
    std::vector<Fd> clients;
    for (;;) {
        Fd client = plain_client(path);
        if (!client) break;
        clients.push_back(std::move(client));
    }
    CHECK(code_of(UnixListener::bind(path)) == Errc::in_use);
    server.close();
    auto successor = UnixListener::bind(path);
    CHECK(successor.has_value());
}

TEST_CASE("rivals for one stale path: exactly one wins") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    for (int round = 0; round < 20; ++round) {
        { foreign_server(path); }  // stale
        int go[2];
        int won[2];
        REQUIRE(::pipe(go) == 0);
        REQUIRE(::pipe(won) == 0);
        std::vector<pid_t> rivals;
        for (int i = 0; i < 4; ++i) {
            const pid_t pid = ::fork();
            REQUIRE(pid >= 0);
            if (pid == 0) {
                char byte;
                ::close(go[1]);
                std::ignore = ::read(go[0], &byte, 1);
                auto listener = UnixListener::bind(path);
                byte = listener ? 'w' : code_of(listener) == Errc::in_use ? 'l' : '?';
                std::ignore = ::write(won[1], &byte, 1);
                if (listener) ::pause();
                ::_exit(0);
            }
            rivals.push_back(pid);
        }
        ::close(go[0]);
        ::close(go[1]);
        std::string outcomes;
        while (outcomes.size() < rivals.size()) {
            char byte = 0;
            REQUIRE(::read(won[0], &byte, 1) == 1);
            outcomes += byte;
        }
        CHECK(std::count(outcomes.begin(), outcomes.end(), 'w') == 1);
        CHECK(std::count(outcomes.begin(), outcomes.end(), 'l') == 3);
        CHECK(plain_client(path));
        for (const pid_t pid : rivals) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        }
        ::close(won[0]);
        ::close(won[1]);
        ::unlink(path.c_str());
    }
}

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
