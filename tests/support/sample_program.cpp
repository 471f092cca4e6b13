// SPDX-License-Identifier: MIT
//
// A test program with one case of each outcome. sample_program_check.py runs it and reads what it prints: the way from
// skip() and for_each_seed() through Catch2 to the totals cannot be tested from inside a program that must pass.
#include "catch.hpp"
#include "run.hpp"
#include "skip.hpp"

#include <set>

TEST_CASE("one that passes") {
    CHECK(2 + 2 == 4);
}

TEST_CASE("one that fails") {
    CHECK(weir::test::backend_name() == "none");
}

TEST_CASE("one that is skipped") {
    weir::test::skip("the moon is new");
}

TEST_CASE("one that is skipped before its sections") {
    if (weir::test::seeds_count() > 0) {
        weir::test::skip("the moon is full");
    }
    SECTION("a") {
        CHECK(true);
    }
    SECTION("b") {
        CHECK(true);
    }
}

TEST_CASE("one with seeds") {
    std::set<std::uint64_t> seen;
    weir::test::for_each_seed([&](std::uint64_t seed) { seen.insert(seed); });
    CHECK(seen.size() == (weir::test::on_simulated() ? weir::test::seeds_count() : 1));
}
