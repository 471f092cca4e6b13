// SPDX-License-Identifier: MIT
#include <weir/io/udp.hpp>

#include "running.hpp"

#include <array>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

Task<> there_and_back(Scheduler&) {
    WEIR_CO_TRY(auto server, UdpSocket::bind(SocketAddress::v4({127, 0, 0, 1}, 0)));
    WEIR_CO_TRY(const SocketAddress address, server.local());
    WEIR_CO_TRY(auto client, UdpSocket::connect_to(address));
    WEIR_CO_TRY(const SocketAddress peer, client.peer());
    CHECK_IN_TASK(peer == address);
    CHECK_IN_TASK(code_of(server.peer()) == Errc::invalid);
    WEIR_CO_CHECK(client.send(bytes_of("question")));
    std::array<std::byte, 16> buffer;
    WEIR_CO_TRY(const auto asked, server.receive_from(buffer));
    CHECK_IN_TASK(text_of(asked.bytes) == "question");
    WEIR_CO_TRY(const SocketAddress from, client.local());
    CHECK_IN_TASK(asked.from == from);
    WEIR_CO_CHECK(server.send_to({}, asked.from));
    WEIR_CO_TRY(const auto empty, client.receive(buffer));
    CHECK_IN_TASK(empty.empty());
    WEIR_CO_CHECK(server.send_to(bytes_of("0123456789"), asked.from));
    std::array<std::byte, 4> small;
    const auto cut = co_await client.receive(small);
    CHECK_IN_TASK(code_of(cut) == Errc::overflow);
    CHECK_IN_TASK((cut.error().a == 10 && cut.error().b == 4));
    CHECK_IN_TASK(text_of(small) == "0123");
    const auto nowhere = co_await server.send(bytes_of("x"));
    CHECK_IN_TASK(code_of(nowhere) == Errc::invalid);
    const auto nobody = co_await server.send_to(bytes_of("x"), SocketAddress());
    CHECK_IN_TASK(code_of(nobody) == Errc::invalid);
}
TEST_CASE("UDP datagrams go there and back with their addresses, and a cut one is an error") {
    on_each_seed(there_and_back);
}

Task<> receives_late(Scheduler&, UdpSocket& socket, std::string_view& text, std::span<std::byte> buffer) {
    WEIR_CO_TRY(const auto got, socket.receive_from(buffer));
    text = text_of(got.bytes);
}
Task<> sends_late(Scheduler&, UdpSocket& socket, SocketAddress to) {
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_CHECK(socket.send_to(bytes_of("late"), to));
}
Task<> waits(Scheduler& scheduler) {
    WEIR_CO_TRY(auto server, UdpSocket::bind(SocketAddress::v4({127, 0, 0, 1}, 0)));
    WEIR_CO_TRY(auto client, UdpSocket::bind(SocketAddress::v4({127, 0, 0, 1}, 0)));
    WEIR_CO_TRY(const SocketAddress address, server.local());
    std::array<std::byte, 8> buffer;
    std::string_view text;
    WEIR_CO_CHECK(
        all_of(receives_late(scheduler, server, text, buffer), sends_late(scheduler, client, address)));
    CHECK_IN_TASK(text == "late");
    const auto nothing = co_await server.receive(buffer).within(1ms);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
}
TEST_CASE("a UDP receive waits for a datagram, or until its deadline") {
    on_each_seed(waits);
}

Task<> found_nobody(Scheduler&) {
    SocketAddress address;
    {
        WEIR_CO_TRY(auto gone, UdpSocket::bind(SocketAddress::v4({127, 0, 0, 1}, 0)));
        WEIR_CO_TRY(address, gone.local());
    }
    WEIR_CO_TRY(auto client, UdpSocket::connect_to(address));
    WEIR_CO_CHECK(client.send(bytes_of("x")));
    std::array<std::byte, 8> buffer;
    const auto got = co_await client.receive(buffer);
    CHECK_IN_TASK(code_of(got) == Errc::refused);
}
TEST_CASE("a connected UDP socket learns that nobody is there") {
    on_each_seed(found_nobody);
}

Task<> takes_stamped(Scheduler&, UdpSocket& stamped) {
    WEIR_CO_TRY(const SocketAddress address, stamped.local());
    WEIR_CO_TRY(auto client, UdpSocket::connect_to(address));
    WEIR_CO_CHECK(client.send(bytes_of("one")));
    WEIR_CO_CHECK(client.send(bytes_of("two")));
    std::array<std::byte, 8> buffer;
    WEIR_CO_TRY(const auto one, stamped.receive_from(buffer));
    CHECK_IN_TASK(text_of(one.bytes) == "one");
    WEIR_CO_TRY(const auto two, stamped.receive(buffer));
    CHECK_IN_TASK(text_of(two) == "two");
}
TEST_CASE("a time that an adopted UDP socket was set to put beside each datagram fails no receive") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        auto bound = UdpSocket::bind(SocketAddress::v4({127, 0, 0, 1}, 0));
        REQUIRE(bound.has_value());
        const int on = 1;
        REQUIRE(::setsockopt(bound->fd(), SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)) == 0);
        auto stamped = UdpSocket::adopt(bound->release());
        REQUIRE(stamped.has_value());
        running.must_run(takes_stamped(*running, *stamped));
    });
}

Task<> too_large(Scheduler&, ConstBytes huge) {
    WEIR_CO_TRY(auto socket, UdpSocket::bind(SocketAddress::v4({127, 0, 0, 1}, 0)));
    WEIR_CO_TRY(const SocketAddress address, socket.local());
    const auto sent = co_await socket.send_to(huge, address);
    CHECK_IN_TASK(code_of(sent) == Errc::too_large);
    CHECK_IN_TASK(sent.error().a == huge.size());
}
TEST_CASE("a datagram beyond what UDP carries is too_large with its size") {
    const std::vector<std::byte> huge(70'000);
    on_each_seed([&huge](Scheduler& scheduler) { return too_large(scheduler, huge); });
}

TEST_CASE("a bound UDP port is in_use, unless both ask to share it") {
    auto first = UdpSocket::bind(SocketAddress::v4({127, 0, 0, 1}, 0), {.reuse_address = true});
    REQUIRE(first.has_value());
    const SocketAddress address = *first->local();
    CHECK(code_of(UdpSocket::bind(address)) == Errc::in_use);
    CHECK(UdpSocket::bind(address, {.reuse_address = true}).has_value());
    CHECK(code_of(UdpSocket::adopt(-1)) == Errc::closed);
}

}  // namespace
