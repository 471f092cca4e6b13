// SPDX-License-Identifier: MIT
#include <weir/io/tcp.hpp>
#include <weir/io/udp.hpp>

#include "files_used_up.hpp"
#include "running.hpp"
#include "tcp_pair.hpp"
#include "support/child.hpp"
#include "support/forbid_call.hpp"
#include "support/skip.hpp"

#include <array>
#include <vector>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

bool has_v6() {
    return TcpListener::bind(*SocketAddress::parse("[::1]:0")).has_value();
}

Task<> both_ends(Scheduler& scheduler, SocketAddress at) {
    TcpStream client;
    TcpStream server;
    WEIR_CO_CHECK(joins(scheduler, at, client, server));
    WEIR_CO_TRY(const SocketAddress client_local, client.local());
    WEIR_CO_TRY(const SocketAddress client_peer, client.peer());
    WEIR_CO_TRY(const SocketAddress server_local, server.local());
    WEIR_CO_TRY(const SocketAddress server_peer, server.peer());
    CHECK_IN_TASK(client_local == server_peer);
    CHECK_IN_TASK(client_peer == server_local);
    CHECK_IN_TASK(server_local == at.with_port(server_local.port()));
    WEIR_CO_CHECK(client.set_nodelay(true));
    WEIR_CO_CHECK(client.set_keepalive({.idle = 5s, .interval = 2s, .probes = 4}));
    int value = 0;
    socklen_t size = sizeof(value);
    CHECK_IN_TASK((::getsockopt(client.fd(), IPPROTO_TCP, TCP_KEEPIDLE, &value, &size) == 0 && value == 5));
    CHECK_IN_TASK(code_of(client.set_keepalive({.idle = 0s})) == Errc::invalid);
    // One side ends while the other goes on.
    WEIR_CO_CHECK(client.write_all(bytes_of("question")));
    WEIR_CO_CHECK(client.shutdown_write());
    std::array<std::byte, 16> buffer;
    WEIR_CO_TRY(const auto question, server.read_exactly(std::span(buffer).first(8)));
    CHECK_IN_TASK(text_of(question) == "question");
    WEIR_CO_TRY(const auto end, server.read(buffer));
    CHECK_IN_TASK(end.empty());
    WEIR_CO_CHECK(server.write_all(bytes_of("answer")));
    server.close();
    const auto short_answer = co_await client.read_exactly(std::span(buffer).first(8));
    CHECK_IN_TASK(code_of(short_answer) == Errc::ended);
    CHECK_IN_TASK(short_answer.error().a == 6);
}
TEST_CASE("two ends know their addresses, carry bytes, and end one side at a time") {
    on_each_seed([](Scheduler& scheduler) { return both_ends(scheduler, loopback()); });
}
TEST_CASE("the same over IPv6") {
    if (!has_v6()) skip("this machine has no IPv6 loopback");
    on_each_seed([](Scheduler& scheduler) { return both_ends(scheduler, *SocketAddress::parse("[::1]:0")); });
}

Task<> sends(Scheduler&, TcpStream& stream, ConstBytes bytes) {
    WEIR_CO_CHECK(stream.write_all(bytes));
    WEIR_CO_CHECK(stream.shutdown_write());
}
Task<> receives(Scheduler&, TcpStream& stream, Bytes into) {
    WEIR_CO_CHECK(stream.read_exactly(into));
}
Task<> megabytes(Scheduler& scheduler, ConstBytes from, Bytes to) {
    TcpStream client;
    TcpStream server;
    WEIR_CO_CHECK(joins(scheduler, loopback(), client, server));
    WEIR_CO_CHECK(all_of(sends(scheduler, client, from), receives(scheduler, server, to)));
}
TEST_CASE("write_all brings megabytes whole and in order") {
    if (on_simulated()) skip("the kernel's loopback delivers in real time");
    std::vector<std::byte> sent(8 << 20);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 11 + i / 253);
    std::vector<std::byte> received(sent.size());
    Running running;
    running.must_run(megabytes(*running, sent, received));
    CHECK(received == sent);
}

Task<> resets(Scheduler& scheduler) {
    TcpStream client;
    TcpStream server;
    WEIR_CO_CHECK(joins(scheduler, loopback(), client, server));
    WEIR_CO_CHECK(client.write_all(bytes_of("never read")));
    std::array<std::byte, 4> buffer;
    WEIR_CO_CHECK(server.read(buffer));  // it has come, and not all is taken
    server.close();
    const auto got = co_await client.read(buffer);
    CHECK_IN_TASK(code_of(got) == Errc::peer_lost);
    const auto written = co_await client.write_all(bytes_of("x"));
    CHECK_IN_TASK(code_of(written) == Errc::peer_lost);
    CHECK_IN_TASK(code_of(client.peer()) == Errc::peer_lost);
}
TEST_CASE("a peer that goes with bytes unread resets: peer_lost, without SIGPIPE") {
    on_each_seed(resets);
}

Task<> connects_in_vain(Scheduler&, SocketAddress to, std::optional<Errc>& seen) {
    const auto stream = co_await TcpStream::connect(to).within(60s);
    seen = code_of(stream);
}
TEST_CASE("connecting where nobody listens is refused, and to no address at all invalid") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        std::uint16_t port = 0;
        {
            auto gone = TcpListener::bind(loopback());
            REQUIRE(gone.has_value());
            port = gone->local()->port();
        }
        std::optional<Errc> seen;
        running.must_run(connects_in_vain(*running, loopback(port), seen));
        CHECK(seen == Errc::refused);
        running.must_run(connects_in_vain(*running, SocketAddress(), seen));
        CHECK(seen == Errc::invalid);
        CHECK(running->usage().descriptors == 0);
    });
}

Task<> connects_until_full(Scheduler&, SocketAddress to, std::vector<TcpStream>& held,
                           std::optional<Errc>& seen) {
    for (int i = 0; i < 4 && !seen; ++i) {
        auto stream = co_await TcpStream::connect(to).within(50ms);
        const HeapPermit permit;
        if (stream) {
            held.push_back(std::move(*stream));
        } else {
            seen = stream.error().code;
        }
    }
}
Task<> accepts_many(Scheduler&, TcpListener& listener, std::size_t count) {
    while (count-- > 0) WEIR_CO_CHECK(listener.accept().within(60s));
}
TEST_CASE("connecting to a full TCP backlog waits until its deadline, and those that got in are accepted") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        auto listener = TcpListener::bind(loopback(), {.backlog = 0});
        REQUIRE(listener.has_value());
        std::vector<TcpStream> held;
        std::optional<Errc> seen;
        running.must_run(connects_until_full(*running, *listener->local(), held, seen));
        CHECK(seen == Errc::timed_out);
        CHECK(held.size() == 1);
        running.must_run(accepts_many(*running, *listener, held.size()));
    });
}

Task<> sends_in_vain(Scheduler&, UdpSocket& socket, SocketAddress to, std::optional<Errc>& seen) {
    const auto sent = co_await socket.send_to(bytes_of("x"), to);
    seen = code_of(sent);
}
/// What connecting and sending answer in a child that `prepare` has made unable to: 77 if it could not be.
template <class Prepare>
void check_in_child(Prepare prepare, Errc wanted, const char* reason) {
    const auto end = run_in_child([&] {
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        if (!scheduler->start({.backend = *backend_choice(backend_name()), .environment = false})) return 2;
        if (!prepare()) return 77;
        const SocketAddress nowhere = SocketAddress::v4({192, 0, 2, 1}, 9);
        std::optional<Errc> seen;
        if (!scheduler->run(connects_in_vain(*scheduler, nowhere, seen))) return 3;
        if (seen != wanted) return 4;
        auto socket = UdpSocket::bind(SocketAddress::v4({0, 0, 0, 0}, 0));
        if (!socket) return 5;
        if (!scheduler->run(sends_in_vain(*scheduler, *socket, nowhere, seen))) return 6;
        if (seen != wanted) return 7;
        return code_of(UdpSocket::connect_to(nowhere)) == wanted ? 0 : 8;
    });
    if (end.exit_status == 77) skip(reason);
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}
TEST_CASE("an address that no route leads to is unreachable") {
    check_in_child(
        [] { return ::unshare(CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0; },
        Errc::unreachable, "a network of one's own is not allowed here");
}
TEST_CASE("what a firewall or a sandbox forbids is denied") {
    // The kernel says EPERM for a packet that a filter drops.
    check_in_child([] { return forbid_call(SYS_connect, EPERM) && forbid_call(SYS_sendmsg, EPERM); },
                   Errc::denied, "no seccomp here");
}

TEST_CASE("binding says in_use, not_found for a foreign address, and a restart gets its port back") {
    auto first = TcpListener::bind(loopback());
    REQUIRE(first.has_value());
    const SocketAddress address = *first->local();
    CHECK(code_of(TcpListener::bind(address)) == Errc::in_use);
    CHECK(code_of(TcpListener::bind(SocketAddress::v4({192, 0, 2, 1}, 0))) == Errc::not_found);
    CHECK(code_of(TcpListener::bind(SocketAddress())) == Errc::invalid);
    CHECK(code_of(TcpListener().local()) == Errc::closed);
    Running running;
    TcpStream client;
    TcpStream server;
    running.must_run([](Scheduler& scheduler, TcpListener& listener, SocketAddress to, TcpStream& one,
                        TcpStream& other) -> Task<> {
        WEIR_CO_CHECK(all_of(accepts_into(scheduler, listener, other), connects_into(scheduler, to, one)));
    }(*running, *first, address, client, server));
    server.close();  // this side lingers with the port
    client.close();
    first->close();
    CHECK(TcpListener::bind(address).has_value());
}

TEST_CASE("v6_only leaves the port to IPv4") {
    if (!has_v6()) skip("this machine has no IPv6 loopback");
    auto only = TcpListener::bind(*SocketAddress::parse("[::]:0"), {.v6_only = true});
    REQUIRE(only.has_value());
    const std::uint16_t port = only->local()->port();
    CHECK(TcpListener::bind(SocketAddress::v4({0, 0, 0, 0}, port)).has_value());
    only->close();
    auto both = TcpListener::bind(*SocketAddress::parse("[::]:0"));
    REQUIRE(both.has_value());
    CHECK(code_of(TcpListener::bind(SocketAddress::v4({0, 0, 0, 0}, both->local()->port()))) == Errc::in_use);
}

Task<> frees_files_later(Scheduler&, FilesUsedUp& files) {
    WEIR_CO_CHECK(sleep_for(60ms));  // one of accept's pauses
    files.end();
}
TEST_CASE("accepting a TCP connection pauses while no descriptor is left") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        auto listener = TcpListener::bind(loopback());
        REQUIRE(listener.has_value());
        const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const SocketAddress address = *listener->local();
        REQUIRE(::connect(client.get(), address.raw(), address.raw_size()) == 0);
        TcpStream server;
        FilesUsedUp files;
        running.must_run([](Scheduler& scheduler, TcpListener& from, TcpStream& into,
                            FilesUsedUp& used) -> Task<> {
            WEIR_CO_CHECK(all_of(accepts_into(scheduler, from, into), frees_files_later(scheduler, used)));
        }(*running, *listener, server, files));
        CHECK(server);
    });
}

TEST_CASE("a TCP connection and a listener are adopted by kind, and inherited input keeps its mode") {
    const Fd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress any = loopback();
    REQUIRE(::bind(listening.get(), any.raw(), any.raw_size()) == 0);
    CHECK(code_of(TcpListener::adopt(listening.get())) == Errc::wrong_kind);
    REQUIRE(::listen(listening.get(), 4) == 0);
    CHECK(code_of(TcpStream::adopt(listening.get())) == Errc::wrong_kind);
    const auto end = run_in_child([&listening] {
        if (::dup2(listening.get(), 0) != 0) return 2;
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        if (!scheduler->start({.backend = *backend_choice(backend_name())})) return 3;
        auto listener = TcpListener::adopt(0);
        if (!listener) return 4;
        TcpStream server;
        TcpStream client;
        const auto address = listener->local();
        if (!scheduler->run([](Scheduler& inner, TcpListener& from, SocketAddress to, TcpStream& one,
                               TcpStream& other) -> Task<> {
                WEIR_CO_CHECK(all_of(accepts_into(inner, from, other), connects_into(inner, to, one)));
            }(*scheduler, *listener, *address, client, server)))
            return 5;
        if ((::fcntl(0, F_GETFL) & O_NONBLOCK) != 0) return 6;
        return 0;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

}  // namespace
