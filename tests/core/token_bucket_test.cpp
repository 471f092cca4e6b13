// SPDX-License-Identifier: MIT
#include <weir/core/token_bucket.hpp>

#include "support/catch.hpp"

namespace {

using namespace std::chrono_literals;
using namespace weir;

TEST_CASE("a token bucket gives its burst at once, and then a token for each interval") {
    TokenBucket<1'000, 4> bucket;
    Instant now = instant_of_ns(50'000);
    for (int i = 0; i < 4; ++i) CHECK(bucket.take(now));
    CHECK(!bucket.take(now));
    CHECK(bucket.wait(now) == 1'000ns);
    now += 999ns;
    CHECK(!bucket.take(now));
    CHECK(bucket.wait(now) == 1ns);
    now += 1ns;
    CHECK(bucket.wait(now) == 0ns);
    CHECK(bucket.take(now));
    CHECK(!bucket.take(now));
}
TEST_CASE("a token bucket that is left alone is full again, and no fuller") {
    TokenBucket<1'000, 4> bucket;
    Instant now = instant_of_ns(0);
    while (bucket.take(now)) {}
    now += 1h;
    int taken = 0;
    while (bucket.take(now)) ++taken;
    CHECK(taken == 4);
    now += 2'500ns;
    taken = 0;
    while (bucket.take(now)) ++taken;
    CHECK(taken == 2);
}
TEST_CASE("in the long run a token bucket gives no more than one token for each interval") {
    TokenBucket<1'000, 4> bucket;
    int taken = 0;
    for (std::int64_t ns = 0; ns < 1'000'000; ns += 100) taken += bucket.take(instant_of_ns(ns)) ? 1 : 0;
    CHECK(taken == 1'000 + 3);
}
TEST_CASE("what is taken besides is missing later, however much it is") {
    TokenBucket<1'000, 4> bucket;
    Instant now = instant_of_ns(50'000);
    CHECK(bucket.take(now));
    bucket.take_more(now, 2);
    CHECK(bucket.take(now));
    CHECK(!bucket.take(now));
    bucket.take_more(now, 10);
    CHECK(bucket.wait(now) == 11'000ns);
    now += 10'999ns;
    CHECK(!bucket.take(now));
    now += 1ns;
    CHECK(bucket.take(now));
    // From one that was left alone, too.
    now += 1h;
    bucket.take_more(now, 5);
    CHECK(bucket.wait(now) == 2'000ns);
}

}  // namespace
