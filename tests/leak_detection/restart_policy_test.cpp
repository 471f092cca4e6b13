// SPDX-License-Identifier: MIT
#include "restart_policy.hpp"

#include "support/catch.hpp"

using namespace leak;
using namespace std::chrono_literals;

TEST_CASE("the first death is mended at once, later ones after longer and longer pauses, and then no more") {
    RestartPolicy policy;
    weir::Instant now = weir::instant_of_ns(1'000);
    CHECK(policy.died(now) == 0ms);
    CHECK(policy.died(now) == 10ms);
    CHECK(policy.died(now) == 20ms);
    for (std::size_t i = 3; i < RestartPolicy::restarts_max - 1; ++i) CHECK(policy.died(now).has_value());
    CHECK(policy.died(now) == RestartPolicy::pause_max);
    CHECK(!policy.died(now));
    now += RestartPolicy::window;
    CHECK(policy.died(now) == 0ms);
}

TEST_CASE("deaths that are far apart are never too many") {
    RestartPolicy policy;
    weir::Instant now = weir::instant_of_ns(1'000);
    for (int i = 0; i < 1'000; ++i) {
        now += RestartPolicy::window / 5;
        const auto pause = policy.died(now);
        REQUIRE(pause.has_value());
        CHECK(*pause <= 80ms);
    }
}
