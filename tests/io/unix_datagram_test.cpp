// SPDX-License-Identifier: MIT
#include <weir/io/unix_datagram.hpp>

#include "forked.hpp"
#include "running.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

Task<> between_paths(Scheduler&, UnixDatagram& server, UnixDatagram& client) {
    WEIR_CO_CHECK(client.send_to(bytes_of("question"), server.path()));
    std::array<std::byte, 16> buffer;
    WEIR_CO_TRY(const auto asked, server.receive_from(buffer));
    CHECK_IN_TASK(text_of(asked.bytes) == "question");
    CHECK_IN_TASK(asked.from.view() == client.path());
    WEIR_CO_CHECK(server.send_to(bytes_of("answer"), asked.from.view()));
    WEIR_CO_TRY(const auto answer, client.receive(buffer));
    CHECK_IN_TASK(text_of(answer) == "answer");
    // Whoever has no path can be heard but not answered; an empty datagram is one.
    WEIR_CO_TRY(auto nameless, UnixDatagram::open());
    WEIR_CO_CHECK(nameless.send_to({}, server.path()));
    WEIR_CO_TRY(const auto heard, server.receive_from(buffer));
    CHECK_IN_TASK(heard.bytes.empty());
    CHECK_IN_TASK(heard.from.empty());
    const auto unconnected = co_await nameless.send(bytes_of("x"));
    CHECK_IN_TASK(code_of(unconnected) == Errc::invalid);
    WEIR_CO_CHECK(nameless.connect(server.path()));
    WEIR_CO_CHECK(nameless.send(bytes_of("connected")));
    std::array<std::byte, 4> small;
    const auto cut = co_await server.receive_from(small);
    CHECK_IN_TASK(code_of(cut) == Errc::overflow);
    CHECK_IN_TASK((cut.error().a == 9 && cut.error().b == 4));
    const auto nobody = co_await client.send_to(bytes_of("x"), "/nowhere/at/all");
    CHECK_IN_TASK(code_of(nobody) == Errc::not_found);
    server.close();
    const auto gone = co_await nameless.send(bytes_of("x"));
    CHECK_IN_TASK((code_of(gone) == Errc::refused || code_of(gone) == Errc::peer_lost));
}
TEST_CASE("datagrams go whole between paths, and say where they came from") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        Running running(seed);
        auto server = UnixDatagram::bind(directory / "server", {.mode = 0622});
        auto client = UnixDatagram::bind(directory / "client");
        REQUIRE(server.has_value());
        REQUIRE(client.has_value());
        CHECK(mode_of(directory / "server") == 0622);
        running.must_run(between_paths(*running, *server, *client));
        CHECK_FALSE(exists(directory / "server"));
    });
}

// --- a full receiver

constexpr std::uint32_t datagrams = 300;

Task<> sends_all(Scheduler&, UnixDatagram& sender, std::string_view path) {
    for (std::uint32_t i = 0; i < datagrams; ++i) {
        if (path.empty()) {
            WEIR_CO_CHECK(sender.send(bytes_of(i)));
        } else {
            WEIR_CO_CHECK(sender.send_to(bytes_of(i), path));
        }
    }
}
Task<> receives_all(Scheduler&, UnixDatagram& receiver) {
    WEIR_CO_CHECK(sleep_for(2ms));  // its queue is full by now
    for (std::uint32_t i = 0; i < datagrams; ++i) {
        std::uint32_t number = ~0U;
        WEIR_CO_CHECK(receiver.receive(writable_bytes_of(number)));
        CHECK_IN_TASK(number == i);
    }
}
Task<> gives_up(Scheduler&, UnixDatagram& sender, std::string_view path, std::optional<Errc>& seen) {
    for (;;) {
        const auto sent = co_await sender.send_to(bytes_of("x"), path).within(3ms);
        seen = code_of(sent);
        if (seen) co_return;
    }
}
TEST_CASE("a sender waits while the receiver's queue is full, connected or not, and nothing is lost") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        Running running(seed);
        auto receiver = UnixDatagram::bind(directory / "r");
        auto sender = UnixDatagram::open();
        REQUIRE(receiver.has_value());
        REQUIRE(sender.has_value());
        const std::string path(receiver->path());
        for (const bool connected : {false, true}) {
            if (connected) REQUIRE(sender->connect(path).has_value());
            running.must_run([](Scheduler& scheduler, UnixDatagram& from, UnixDatagram& to,
                                std::string_view where) -> Task<> {
                WEIR_CO_CHECK(all_of(sends_all(scheduler, from, where), receives_all(scheduler, to)));
            }(*running, *sender, *receiver, connected ? std::string_view() : std::string_view(path)));
        }
        std::optional<Errc> seen;
        running.must_run(gives_up(*running, *sender, path, seen));
        CHECK(seen == Errc::timed_out);
    });
}

TEST_CASE(
    "a datagram path in use is refused with its holder's pid, and taken over once the holder was killed") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    ForkedHolder holder([&path] {
        static Result<UnixDatagram> socket = UnixDatagram::bind(path);
        return socket.has_value();
    });
    const auto refused = UnixDatagram::bind(path);
    REQUIRE(code_of(refused) == Errc::in_use);
    CHECK(refused.error().a == static_cast<std::uint64_t>(holder.pid()));
    holder.kill();
    CHECK(exists(path));
    auto successor = UnixDatagram::bind(path);
    CHECK(successor.has_value());
}

TEST_CASE("root gives a datagram socket's path to the owner and group asked for") {
    if (::geteuid() != 0) skip("only root may give files away");
    const TemporaryDirectory directory;
    const auto server = UnixDatagram::bind(directory / "s", {.mode = 0602, .owner = 4242, .group = 4343});
    REQUIRE(server.has_value());
    struct stat status {};
    REQUIRE(::lstat((directory / "s").c_str(), &status) == 0);
    CHECK(status.st_uid == 4242);
    CHECK(status.st_gid == 4343);
    CHECK(mode_of(directory / "s") == 0602);
}

TEST_CASE("a released datagram socket leaves its path, which nobody takes over while it is served") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    Fd released;
    {
        auto socket = UnixDatagram::bind(path);
        REQUIRE(socket.has_value());
        released = Fd(socket->release());
    }
    CHECK(exists(path));
    CHECK(code_of(UnixDatagram::bind(path)) == Errc::in_use);
    auto adopted = UnixDatagram::adopt(released.release());
    REQUIRE(adopted.has_value());
    adopted->close();
    CHECK(exists(path));
    CHECK(UnixDatagram::bind(path).has_value());
    CHECK_FALSE(exists(path));
}

}  // namespace
