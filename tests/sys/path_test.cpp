// SPDX-License-Identifier: MIT
#include "sys/path.hpp"

#include "support/catch.hpp"

#include <string>

namespace {

using weir::Errc;
using weir::sys::path_error;

TEST_CASE("a path is neither empty, nor too long, nor has it a zero in it") {
    CHECK_FALSE(path_error("/run/s", 107, "test").has_value());
    CHECK_FALSE(path_error(std::string(107, 'p'), 107, "test").has_value());
    const auto too_long = path_error(std::string(108, 'p'), 107, "test");
    REQUIRE(too_long.has_value());
    CHECK(*too_long == Errc::too_large);
    CHECK(too_long->a == 108);
    CHECK(too_long->b == 107);
    for (const std::string& wrong : {std::string(), std::string("\0name", 5), std::string("/s\0", 3)}) {
        const auto invalid = path_error(wrong, 107, "test");
        REQUIRE(invalid.has_value());
        CHECK(*invalid == Errc::invalid);
        CHECK(std::string(invalid->operation) == "test");
    }
}

}  // namespace
