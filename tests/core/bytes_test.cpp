// SPDX-License-Identifier: MIT
#include <weir/core/bytes.hpp>

#include "support/catch.hpp"

#include <array>
#include <cstdint>

TEST_CASE("text and bytes are two views of the same memory") {
    const std::string_view text = "weir";
    const weir::ConstBytes bytes = weir::bytes_of(text);
    CHECK(bytes.size() == 4);
    CHECK(static_cast<const void*>(bytes.data()) == static_cast<const void*>(text.data()));
    CHECK(weir::text_of(bytes) == text);
    CHECK(weir::bytes_of("literal").size() == 7);
}

TEST_CASE("an object's bytes are its representation") {
    std::uint32_t number = 0;
    const weir::Bytes bytes = weir::writable_bytes_of(number);
    REQUIRE(bytes.size() == sizeof(number));
    for (std::byte& byte : bytes) byte = std::byte{0x11};
    CHECK(number == 0x11111111);
    CHECK(weir::bytes_of(number).data() == bytes.data());
    const std::array<std::uint16_t, 3> numbers{};
    CHECK(weir::bytes_of(numbers).size() == 6);
}
