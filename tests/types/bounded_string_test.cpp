// SPDX-License-Identifier: MIT
#include <weir/ipc/types/bounded_string.hpp>

#include "support/catch.hpp"

#include <cstring>
#include <string>

using weir::ipc::BoundedString;

TEST_CASE("a bounded string holds what fits and refuses the rest") {
    BoundedString<5> text = "abc";
    CHECK(text.view() == "abc");
    CHECK(!text.assign("abcdef"));
    CHECK(text == "abc");
    CHECK(text.assign("abcde"));
    CHECK(text.size() == 5);
    CHECK(!text.append("f"));
    CHECK(text.append(""));
    CHECK(text == "abcde");
}

TEST_CASE("appending takes all or nothing") {
    BoundedString<8> text;
    CHECK(text.empty());
    CHECK(text.append("pump"));
    CHECK(text.append(" 3"));
    CHECK(!text.append(" is dry"));
    CHECK(text == "pump 3");
}

TEST_CASE("text for people may be cut") {
    BoundedString<6> text = "x";
    text.assign_cut("pump 3 is dry");
    CHECK(text == "pump 3");
    text.assign_cut("dry");
    CHECK(text == "dry");
}

TEST_CASE("characters may be zeros") {
    BoundedString<8> text;
    const std::string zeros("a\0b", 3);
    REQUIRE(text.assign(zeros));
    CHECK(text.view() == zeros);
    CHECK(text.size() == 3);
}

TEST_CASE("a string made by the compiler has no bytes of its own beyond its characters") {
    static constexpr BoundedString<9> made = "seven";
    BoundedString<9> written;
    REQUIRE(written.assign("something"));
    REQUIRE(written.assign("seven"));
    CHECK(made == written);
    CHECK(std::memcmp(&made, &written, sizeof(made)) == 0);
}

TEST_CASE("a string whose size a peer made up ends at its capacity") {
    BoundedString<5> text = "abcde";
    const std::uint32_t size = 4'000'000'000;
    std::memcpy(static_cast<void*>(&text), &size, sizeof(size));
    CHECK(!weir::ipc::is_valid(text));
    CHECK(text.view() == "abcde");
    CHECK(!text.append("f"));
    text.clear();
    CHECK(weir::ipc::is_valid(text));
}
