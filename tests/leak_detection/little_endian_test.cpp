// SPDX-License-Identifier: MIT
#include "little_endian.hpp"

#include "support/catch.hpp"

#include <string_view>

using namespace leak;

TEST_CASE("fields are written little endian and read back") {
    std::array<std::byte, 31> bytes{};
    ByteWriter writer{bytes};
    writer.put(std::uint8_t{1});
    writer.put(std::uint16_t{0x0302});
    writer.put(std::uint32_t{0x07060504});
    writer.put(std::int64_t{-2});
    writer.put(-0.5);
    writer.put(std::uint64_t{5});
    CHECK(writer.ok());
    for (std::size_t i = 0; i < 7; ++i) CHECK(std::to_integer<unsigned>(bytes[i]) == i + 1);

    ByteReader reader{bytes};
    CHECK(reader.take<std::uint8_t>() == 1);
    CHECK(reader.take<std::uint16_t>() == 0x0302);
    CHECK(reader.take<std::uint32_t>() == 0x07060504);
    CHECK(reader.take_signed() == -2);
    CHECK(reader.take_double() == -0.5);
    CHECK(reader.take<std::uint64_t>() == 5);
    CHECK((reader.ok() && reader.rest() == 0));
}

TEST_CASE("a field that does not fit ends all writing and reading") {
    std::array<std::byte, 5> bytes{};
    ByteWriter writer{bytes};
    writer.put(std::uint32_t{1});
    writer.put(std::uint16_t{0xffff});
    writer.put(std::uint8_t{0xff});
    CHECK(!writer.ok());
    CHECK(writer.size() == 4);
    CHECK(bytes[4] == std::byte{0});

    ByteReader reader{bytes};
    CHECK(reader.take<std::uint64_t>() == 0);
    CHECK(reader.take<std::uint8_t>() == 0);
    CHECK(reader.take_bytes(1).empty());
    CHECK(!reader.ok());
}

TEST_CASE("the checksum is CRC-32 and can be taken in parts") {
    const std::string_view text = "123456789";
    const auto bytes = std::as_bytes(std::span{text});
    CHECK(checksum_of(bytes) == 0xcbf43926u);
    CHECK(checksum_of(bytes.subspan(4), checksum_of(bytes.first(4))) == 0xcbf43926u);
    CHECK(checksum_of({}) == 0);
}
