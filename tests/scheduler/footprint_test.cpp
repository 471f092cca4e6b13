// SPDX-License-Identifier: MIT
#include <weir/scheduler/scheduler.hpp>

#include "support/catch.hpp"

namespace {

constexpr weir::Budget sensor_budget{
    .frame_bytes = 12 * 1024, .submissions = 32, .descriptors = 24, .timer_slots = 16};
static_assert(weir::footprint(sensor_budget) <= 18 * 1024);

constinit weir::StaticScheduler<sensor_budget> in_bss;
static_assert(sizeof(in_bss) == weir::footprint(sensor_budget));
static_assert(sizeof(weir::StaticScheduler<weir::small_budget>) == weir::footprint(weir::small_budget));
static_assert(sizeof(weir::StaticScheduler<weir::large_budget>) == weir::footprint(weir::large_budget));

template <weir::Budget budget>
concept HasStaticScheduler = requires {
    typename weir::StaticScheduler<budget>;
};
static_assert(HasStaticScheduler<weir::Budget{.timer_slots = 16}>);
static_assert(HasStaticScheduler<weir::Budget{.timer_slots = 65'536}>);
static_assert(!HasStaticScheduler<weir::Budget{.timer_slots = 0}>);
static_assert(!HasStaticScheduler<weir::Budget{.timer_slots = 8}>);
static_assert(!HasStaticScheduler<weir::Budget{.timer_slots = 20}>);
static_assert(!HasStaticScheduler<weir::Budget{.timer_slots = 131'072}>);

weir::Task<int> answer(weir::Scheduler&) {
    co_return 42;
}

}  // namespace

TEST_CASE("a scheduler in static memory has the size that its budget says, and runs") {
    CHECK(!in_bss.started());
    CHECK(in_bss.backend_name() == "none");
    const auto result = in_bss.run(answer(in_bss));
    REQUIRE(result);
    CHECK(*result == 42);
    CHECK(in_bss.budget().frame_bytes == sensor_budget.frame_bytes);
}

TEST_CASE("the parts of a scheduler's storage lie behind each other, aligned") {
    for (const std::size_t frame_bytes : {1'000U, 1'024U, 65'536U}) {
        for (const std::uint32_t descriptors : {1U, 3U, 64U}) {
            const weir::Budget budget{.frame_bytes = frame_bytes, .descriptors = descriptors};
            const auto layout = weir::storage_layout(budget);
            CHECK(layout.frames == 0);
            CHECK(layout.descriptors >= frame_bytes);
            CHECK(layout.timers >= layout.descriptors + descriptors * sizeof(weir::DescriptorEntry));
            CHECK(layout.size >= layout.timers + weir::TimerWheel::storage_size(budget.timer_slots));
            for (const std::size_t offset : {layout.descriptors, layout.timers, layout.size})
                CHECK(offset % 16 == 0);
        }
    }
}
