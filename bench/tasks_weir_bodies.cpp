// SPDX-License-Identifier: MIT

#include "tasks_weir_bodies.hpp"

#include "weir/coro/sleep.hpp"

namespace bench {

weir::Task<> yield_and_measure(weir::Scheduler&, Batches& batches, std::size_t rounds, bool& finished) {
    batches.start();
    do {
        for (std::size_t i = 0; i < rounds; ++i) WEIR_CO_CHECK(weir::yield());
    } while (batches.lap());
    finished = true;
}

weir::Task<> yield_until(weir::Scheduler&, const bool& finished) {
    while (!finished) WEIR_CO_CHECK(weir::yield());
}

weir::Task<> child(weir::Scheduler&) {
    co_return;
}

}  // namespace bench
