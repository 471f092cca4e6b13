// SPDX-License-Identifier: MIT
#include <weir/io/socket_address.hpp>

#include "support/catch.hpp"

#include <array>
#include <string>

namespace {

using namespace weir;

std::string text_of_address(const SocketAddress& address) {
    std::array<char, SocketAddress::text_size_max> text;
    return std::string(address.format(text));
}

TEST_CASE("an address is read as it is written") {
    for (const char* const text : {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0",
                                   "[fe80::1%3]:9", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
                                   "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535"}) {
        const auto address = SocketAddress::parse(text);
        REQUIRE(address.has_value());
        CHECK(text_of_address(*address) == text);
        CHECK(*SocketAddress::parse(text_of_address(*address)) == *address);
    }
    CHECK(*SocketAddress::parse("127.0.0.1:80") == SocketAddress::v4({127, 0, 0, 1}, 80));
    CHECK_FALSE(*SocketAddress::parse("127.0.0.1:80") == SocketAddress::v4({127, 0, 0, 1}, 81));
    CHECK_FALSE(*SocketAddress::parse("127.0.0.1:80") == *SocketAddress::parse("[::1]:80"));
    CHECK_FALSE(*SocketAddress::parse("[fe80::1%2]:80") == *SocketAddress::parse("[fe80::1%3]:80"));
    CHECK(SocketAddress::parse("[::1]:80")->is_v6());
    CHECK(SocketAddress::parse("[::1]:80")->with_port(81) == *SocketAddress::parse("[::1]:81"));
    CHECK(SocketAddress::parse("127.0.0.1:80")->with_port(81).port() == 81);
}

TEST_CASE("the loopback interface can be named as a scope") {
    const auto named = SocketAddress::parse("[fe80::1%lo]:80");
    REQUIRE(named.has_value());
    CHECK_FALSE(*named == *SocketAddress::parse("[fe80::1]:80"));
}

TEST_CASE("what is no address is invalid") {
    for (const std::string& text : {std::string(""),
                                    std::string(":"),
                                    std::string(":80"),
                                    std::string("127.0.0.1"),
                                    std::string("127.0.0.1:"),
                                    std::string("127.0.0.1:65536"),
                                    std::string("127.0.0.1:-1"),
                                    std::string("127.0.0.1:+1"),
                                    std::string("127.0.0.1: 1"),
                                    std::string("127.0.0.1:8x"),
                                    std::string("127.0.1:80"),
                                    std::string("256.0.0.1:80"),
                                    std::string("::1:80"),
                                    std::string("[::1]80"),
                                    std::string("[::1:80"),
                                    std::string("[]:80"),
                                    std::string("[:80"),
                                    std::string("[::g]:80"),
                                    std::string("[::1%]:80"),
                                    std::string("[::1%nosuchinterface0]:80"),
                                    std::string("localhost:80"),
                                    std::string("127.0.0.1\0:80", 13),
                                    std::string(300, '1') + ":80"}) {
        INFO(text);
        const auto address = SocketAddress::parse(text);
        REQUIRE_FALSE(address.has_value());
        CHECK(address.error().code == Errc::invalid);
    }
}

TEST_CASE("an empty address writes nothing, and a small buffer cuts") {
    CHECK(SocketAddress().empty());
    CHECK(SocketAddress().port() == 0);
    CHECK(text_of_address(SocketAddress()).empty());
    std::array<char, 5> small;
    CHECK(SocketAddress::v4({127, 0, 0, 1}, 80).format(small) == "127.");
    CHECK(SocketAddress::v4({127, 0, 0, 1}, 80).format({}).empty());
}

}  // namespace
