// SPDX-License-Identifier: MIT
#include <weir/core/name.hpp>

#include "support/catch.hpp"

#include <string>

using weir::Errc;
using weir::Name;

TEST_CASE("a name has parts of letters, digits and punctuation, parted by slashes") {
    for (const char* good : {"a", "readings", "vehicle/pose", "A-1_b.c", "x/y/z", "v1.2", "a.", "9"}) {
        INFO(good);
        CHECK(Name::valid(good));
        const auto name = Name::make(good);
        REQUIRE(name);
        CHECK(name->view() == good);
        CHECK(std::string(name->c_str()) == good);
    }
}

TEST_CASE("a name cannot leave its directory or hold odd bytes") {
    for (const std::string bad : {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/.b", ".hidden",
                                  "a b", "a\n", "ä", "a:b", "a\\b", "a*"}) {
        INFO(bad);
        CHECK(!Name::valid(bad));
        const auto name = Name::make(bad);
        REQUIRE(!name);
        CHECK(name.error() == Errc::invalid);
    }
    CHECK(!Name::valid(std::string_view("a\0b", 3)));
}

TEST_CASE("a name has at most 64 bytes and a longer one says both numbers") {
    const std::string longest(64, 'a');
    const auto name = Name::make(longest);
    REQUIRE(name);
    CHECK(name->view() == longest);
    const auto longer = Name::make(longest + "a");
    REQUIRE(!longer);
    CHECK(longer.error() == Errc::too_large);
    CHECK(longer.error().a == 65);
    CHECK(longer.error().b == 64);
}

TEST_CASE("names known at compile time are made and compared there") {
    constexpr Name left{"vehicle/pose"};
    constexpr Name right{"vehicle/speed"};
    static_assert(left.view() == "vehicle/pose");
    static_assert(left != right && left < right);
    const auto made = Name::make("vehicle/pose");
    REQUIRE(made);
    CHECK(*made == left);
}
