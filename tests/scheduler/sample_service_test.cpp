// SPDX-License-Identifier: MIT
#include "support/heap_guard.hpp"

#include "program.hpp"
#include "sample_service.hpp"

#include <cstdio>
#include <string>

using weir::Errc;
using weir::test::check_idle;
using weir::test::make_scheduler;
using weir::test::options_of_this_run;
using weir::test::sample_service;

TEST_CASE("a whole program allocates nothing after its start") {
    weir::test::for_each_seed([](std::uint64_t seed) {
        const auto scheduler = make_scheduler(options_of_this_run(seed));
        scheduler->set_inside_hook({weir::test::heap_guard::arm, weir::test::heap_guard::disarm});
        const auto sum = scheduler->run(sample_service(*scheduler));
        REQUIRE(sum);
        CHECK(*sum == 40);
        CHECK(!weir::test::heap_guard::armed());
        check_idle(*scheduler);
    });
}

TEST_CASE("each frame of a whole program may be refused: the error is a value and nothing stays behind") {
    const auto scheduler = make_scheduler();
    REQUIRE(scheduler->run(sample_service(*scheduler)).has_value());  // cuts all blocks
    const auto before = scheduler->usage();
    std::uint32_t refused = 0;
    for (std::uint32_t k = 1;; ++k) {
        INFO("allocation " << k << " refused");
        REQUIRE(k < 1'000);
        scheduler->frames.refuse_in(k);
        const auto sum = scheduler->run(sample_service(*scheduler));
        scheduler->frames.refuse_in(0);
        check_idle(*scheduler);
        if (sum) {
            CHECK(*sum == 40);
            break;  // it needed fewer than k
        }
        REQUIRE(sum.error() == Errc::no_frame);
        REQUIRE(sum.error().a > 0);
        ++refused;
    }
    std::printf("frames refused one by one: 1 to %u\n", refused);
    CHECK(refused >= 15);
    CHECK(scheduler->usage().frame_bytes == before.frame_bytes);
    const auto after = scheduler->run(sample_service(*scheduler));
    REQUIRE(after);
    CHECK(*after == 40);
}
