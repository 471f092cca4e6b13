// SPDX-License-Identifier: MIT
//
// The path of a listening socket, and whose it is.
#include <weir/io/served_path.hpp>
#include <weir/io/unix_stream.hpp>

#include "foreign_socket.hpp"
#include "forked.hpp"
#include "running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

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

}  // namespace
