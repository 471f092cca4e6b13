// SPDX-License-Identifier: MIT
#include "bounded_text.hpp"

#include "support/catch.hpp"

#include <cstdint>
#include <limits>

using namespace leak;

TEST_CASE("numbers are written plainly and without a locale") {
    BoundedText<128> text;
    text.append(std::numeric_limits<std::int64_t>::min()).append(' ').append(0u).append(' ');
    text.append_fixed(0.0625, 3).append(' ').append_fixed(-12.5, 1).append(' ').append_fixed(1e300, 2);
    CHECK(text.view() == "-9223372036854775808 0 0.062 -12.5 1.00e+300");
}

TEST_CASE("what does not fit is cut") {
    BoundedText<5> text{"abcdefg"};
    CHECK(text.view() == "abcde");
    text.append(123);
    CHECK(text.view() == "abcde");
}

TEST_CASE("foreign text is quoted, cut and made printable") {
    BoundedText<128> text;
    text.append_quoted("a\x1b\n\xff~", 4).append(' ').append_quoted("");
    CHECK(text.view() == "\"a\\x1b\\x0a\\xff\"... \"\"");
}
