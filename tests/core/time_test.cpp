// SPDX-License-Identifier: MIT
#include <weir/core/time.hpp>

#include "support/catch.hpp"

#include <limits>
#include <random>

using namespace std::chrono_literals;
using weir::after;
using weir::Duration;
using weir::Instant;
using weir::instant_of_ns;
using weir::saturating_ns;

TEST_CASE("adding a span to an instant is exact") {
    CHECK(after(instant_of_ns(5), 7ns) == instant_of_ns(12));
    CHECK(after(instant_of_ns(1'000'000'000), 2s) == instant_of_ns(3'000'000'000));
}

TEST_CASE("a span that reaches beyond the end of time gives never") {
    CHECK(after(instant_of_ns(1), Duration::max()) == weir::never);
    CHECK(after(weir::never, 1ns) == weir::never);
    CHECK(after(instant_of_ns(std::numeric_limits<std::int64_t>::max() - 1), 1ns) == weir::never);
    CHECK(after(instant_of_ns(std::numeric_limits<std::int64_t>::max() - 2), 1ns) != weir::never);
}

TEST_CASE("a negative span means now") {
    CHECK(after(instant_of_ns(5), -7ns) == instant_of_ns(5));
    CHECK(after(instant_of_ns(5), Duration::min()) == instant_of_ns(5));
    CHECK(after(instant_of_ns(5), 0ns) == instant_of_ns(5));
}

TEST_CASE("the recent time is never ahead of the time") {
    for (int i = 0; i < 1'000; ++i) {
        const Instant recent = weir::MonotonicClock::recent();
        REQUIRE(recent <= weir::MonotonicClock::now());
        REQUIRE(recent > instant_of_ns(0));
    }
}

TEST_CASE("instants before zero can be added to") {
    CHECK(after(instant_of_ns(-5), 7ns) == instant_of_ns(2));
    CHECK(after(Instant::min(), 1ns) == Instant::min() + 1ns);
    CHECK(after(Instant::min(), Duration::max()) == instant_of_ns(-1));
}

TEST_CASE("any duration becomes nanoseconds, and those that are too long the longest") {
    CHECK(saturating_ns(3s) == Duration(3'000'000'000));
    CHECK(saturating_ns(-3ms) == Duration(-3'000'000));
    CHECK(saturating_ns(1.5s) == Duration(1'500'000'000));
    CHECK(saturating_ns(24h * 1'000'000) == Duration::max());
    CHECK(saturating_ns(24h * 100'000) == Duration(24h * 100'000));
    CHECK(saturating_ns(-24h * 1'000'000) == Duration::min());
    CHECK(saturating_ns(std::chrono::hours::max()) == Duration::max());
    CHECK(saturating_ns(std::chrono::duration<double>(std::numeric_limits<double>::infinity())) ==
          Duration::max());
    CHECK(saturating_ns(Duration::max()) == Duration::max());
}

TEST_CASE("the clock is the monotonic one and does not go back") {
    Instant last = weir::MonotonicClock::now();
    CHECK(weir::to_ns(last) > 0);
    for (int i = 0; i < 1'000; ++i) {
        const Instant now = weir::MonotonicClock::now();
        REQUIRE(now >= last);
        last = now;
    }
    CHECK(instant_of_ns(weir::to_ns(last)) == last);
}

TEST_CASE("a span is split as a division would") {
    std::mt19937_64 random(1);
    const auto check = [](std::int64_t ns) {
        const weir::SplitSpan parts = weir::split(Duration(ns));
        REQUIRE(parts.seconds == ns / 1'000'000'000);
        REQUIRE(parts.nanoseconds == ns % 1'000'000'000);
        REQUIRE(weir::to_ms(Duration(ns)) == ns / 1'000'000);
        REQUIRE(weir::to_ms(-Duration(ns)) == -ns / 1'000'000);
    };
    for (const std::int64_t around :
         {std::int64_t{0}, std::int64_t{1'000'000}, std::int64_t{1'000'000'000}}) {
        for (std::int64_t ns = around > 3 ? around - 3 : 0; ns < around + 3; ++ns) check(ns);
    }
    check(std::numeric_limits<std::int64_t>::max());
    for (int i = 0; i < 10'000; ++i) {
        const auto ns = static_cast<std::int64_t>(random() >> (1 + random() % 63));
        check(ns);
        check(ns - ns % 1'000'000'000);
    }
}
