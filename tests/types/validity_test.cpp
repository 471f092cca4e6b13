// SPDX-License-Identifier: MIT
#include <weir/ipc/types/bounded_string.hpp>
#include <weir/ipc/types/validity.hpp>

#include "support/catch.hpp"

#include <cstring>

using namespace weir::ipc;

namespace {

enum class Mode : std::uint8_t { off = 1, on = 2 };
enum class Free : std::uint8_t {};

struct Plain {
    double value;
    std::uint32_t words[3];
    Free anything;
    std::array<std::byte, 3> reserved;
};
struct Flags {
    std::uint32_t number;
    bool first;
    std::array<bool, 3> others;
};
struct Range {
    std::uint32_t low;
    std::uint32_t high;
};
struct Deep {
    Range ranges[2];
    BoundedVector<Flags, 2> flags;
    BoundedVector<Mode, 4> modes;
    BoundedString<7> name;
    Mode mode;
    std::uint8_t reserved[3];
};

Deep sample() {
    Deep deep{.ranges = {{1, 2}, {3, 3}},
              .flags = {},
              .modes = {},
              .name = "deep",
              .mode = Mode::on,
              .reserved = {}};
    REQUIRE(deep.flags.push_back({.number = 7, .first = true, .others = {false, true, false}}));
    REQUIRE(deep.modes.push_back(Mode::off));
    return deep;
}

// What a peer may do.
template <class T>
void write(T& place, std::uint8_t byte) {
    std::memset(static_cast<void*>(&place), byte, 1);
}

}  // namespace

namespace weir::ipc {
template <>
struct RecordTraits<Mode> {
    static bool valid(const Mode& mode) noexcept { return mode == Mode::off || mode == Mode::on; }
};
template <>
struct RecordTraits<Range> {
    static bool valid(const Range& range) noexcept { return range.low <= range.high; }
};
}  // namespace weir::ipc

TEST_CASE("numbers and enums of any value are valid, and nobody looks at them") {
    STATIC_REQUIRE(always_valid<Plain>);
    STATIC_REQUIRE(always_valid<double>);
    STATIC_REQUIRE(always_valid<BoundedString<8>> == false);
    STATIC_REQUIRE(!always_valid<Flags>);
    STATIC_REQUIRE(!always_valid<Deep>);
    Plain plain;
    std::memset(static_cast<void*>(&plain), 0xff, sizeof(plain));
    CHECK(is_valid(plain));
}

TEST_CASE("a bool that is neither 0 nor 1 is found, wherever it is") {
    Flags flags{};
    CHECK(is_valid(flags));
    write(flags.first, 1);
    CHECK(is_valid(flags));
    write(flags.first, 2);
    CHECK(!is_valid(flags));
    write(flags.first, 0);
    write(flags.others[2], 0x80);
    CHECK(!is_valid(flags));
}

TEST_CASE("what a type's own check turns down is invalid, wherever it is") {
    CHECK(is_valid(sample()));
    {
        Deep deep = sample();
        deep.ranges[1].low = 4;
        CHECK(!is_valid(deep));
    }
    {
        Deep deep = sample();
        write(deep.mode, 3);
        CHECK(!is_valid(deep));
    }
    {
        Deep deep = sample();
        write(deep.modes[0], 0);
        CHECK(!is_valid(deep));
    }
}

TEST_CASE("a nested size beyond its capacity is found") {
    Deep deep = sample();
    write(deep.flags, 3);
    CHECK(!is_valid(deep));
    deep = sample();
    write(deep.name, 8);
    CHECK(!is_valid(deep));
    write(deep.name, 7);
    CHECK(is_valid(deep));
}

TEST_CASE("elements of a vector are looked at, and what lies behind them is not") {
    Deep deep = sample();
    write(deep.flags.data()[0].first, 9);
    CHECK(!is_valid(deep));
    deep = sample();
    write(deep.flags.data()[1].first, 9);
    CHECK(is_valid(deep));
}
