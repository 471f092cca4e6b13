// SPDX-License-Identifier: MIT
#include "io/running.hpp"

#include <utility>

namespace weir::test {

Running::Running(std::uint64_t seed, SimulationOptions simulation)
    : scheduler_(std::make_unique<StaticScheduler<running_budget>>()) {
    simulation.seed = seed;
    const auto choice = backend_choice(backend_name());
    REQUIRE(choice.has_value());
    const auto started =
        scheduler_->start({.backend = *choice, .environment = false, .simulation = simulation});
    INFO(scheduler_->backend_reason());
    REQUIRE(started.has_value());
    scheduler_->set_inside_hook({heap_guard::arm, heap_guard::disarm});
}

void Running::must_run(Task<> task) {
    const auto outcome = run(std::move(task));
    INFO(text_of_error(outcome));
    CHECK(outcome.has_value());
}

void Running::check_nothing_left() const {
    const Usage usage = scheduler_->usage();
    CHECK(usage.frames == 0);
    CHECK(usage.timers == 0);
    CHECK(usage.operations == 0);
}

}  // namespace weir::test
