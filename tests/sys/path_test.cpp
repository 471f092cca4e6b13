// SPDX-License-Identifier: MIT
#include <weir/sys/path.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"

#include <cstdlib>
#include <string>

#include <unistd.h>

namespace {

using namespace weir;
using weir::test::run_in_child;

TEST_CASE("a path of up to its limit of bytes without a zero is handed over as it is") {
    for (const std::string& text :
         {std::string("/run/s"), "/" + std::string(BoundedPath::size_max - 1, 'p')}) {
        BoundedPath path{text};
        CHECK(path.resolve("test").has_value());
        CHECK(path.view() == text);
        CHECK(path.c_str() == text);
    }
    CHECK(BoundedPath().empty());
}

TEST_CASE("a path that is too long says its size and the limit") {
    BoundedPath path{std::string(108, '/')};
    const auto too_long = path.resolve("test");
    REQUIRE_FALSE(too_long.has_value());
    CHECK(too_long.error().code == Errc::too_large);
    CHECK(too_long.error().a == 108);
    CHECK(too_long.error().b == 107);
}

TEST_CASE("an empty path, or one with a zero anywhere, is invalid") {
    for (const std::string& text : {std::string(), std::string(1, '\0'), std::string("a\0b", 3),
                                    std::string("\0abstract", 9), std::string("a\0", 2)}) {
        BoundedPath path{text};
        const auto invalid = path.resolve("test");
        REQUIRE_FALSE(invalid.has_value());
        CHECK(invalid.error().code == Errc::invalid);
    }
}

TEST_CASE("a relative path is made absolute by the working directory of the moment, if that fits") {
    const auto end = run_in_child([] {
        if (::chdir("/") != 0) return 2;
        BoundedPath in_root{"s"};
        if (!in_root.resolve("test") || in_root.view() != "/s") return 3;
        char directory[] = "/tmp/weir-XXXXXX";
        if (::mkdtemp(directory) == nullptr || ::chdir(directory) != 0) return 4;
        BoundedPath inside{"s"};
        const bool resolved =
            inside.resolve("test").has_value() && inside.view() == directory + std::string("/s");
        BoundedPath too_long{std::string(100, 'p')};
        const auto refused = too_long.resolve("test");
        ::rmdir(directory);
        BoundedPath nowhere{"s"};
        const auto gone = nowhere.resolve("test");
        if (!resolved) return 5;
        if (refused || refused.error().code != Errc::too_large || refused.error().a != 117) return 6;
        return !gone && gone.error().code == Errc::not_found ? 0 : 7;
    });
    CHECK(end.exit_status == 0);
}

}  // namespace
