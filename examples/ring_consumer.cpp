// SPDX-License-Identifier: MIT
//
// Records through shared memory, the reading side: see ring_producer.cpp for how to run both.
//
// Shows: waiting for a name to be served, records used in place, and the end: `ended` after the last record if the
// writer closed, `peer_lost` if it died. What a reader had not released when it died, the next one reads again.
#include "ring_reading.hpp"

#include <weir/weir.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

Task<> consume(Scheduler& scheduler) {
    WEIR_CO_TRY(auto ring, weir::ipc::RingReader<Reading>::open(scheduler, readings).within(60s));
    for (;;) {
        auto next = co_await ring.next().within(60s);  // empty: waits on the semaphore "items"
        if (!next && next.error() == weir::Errc::ended) break;
        WEIR_CO_TRY(const auto reading, std::move(next));
        std::printf("sensor %u: %d.%d C\n", reading->sensor, reading->millicelsius / 1'000,
                    reading->millicelsius / 100 % 10);
    }  // released at the end of each round: posts "space"
    std::puts("the writer has closed");
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, consume);
}
