// SPDX-License-Identifier: MIT
#include <weir/ipc/ring/pace.hpp>

#include "support/catch.hpp"

using weir::ipc::ring::Pace;

TEST_CASE("looks are put off when several in a row found more than one record, and not before") {
    Pace pace;
    int looks = 0;
    while (!pace.streams()) {
        pace.found(true);
        REQUIRE(++looks < 100);
    }
    CHECK(looks > 1);
    pace.found(true);
    CHECK(pace.streams());
}

TEST_CASE("a look that finds a single record, or is put off in vain, ends that at once") {
    Pace pace;
    for (int i = 0; i < 100; ++i) pace.found(true);
    pace.found(false);
    CHECK_FALSE(pace.streams());
    for (int i = 0; i < 100; ++i) pace.found(true);
    pace.in_vain();
    CHECK_FALSE(pace.streams());
}

TEST_CASE("request and reply never put a look off") {
    Pace pace;
    for (int i = 0; i < 100; ++i) {
        pace.found(false);
        CHECK_FALSE(pace.streams());
    }
}
