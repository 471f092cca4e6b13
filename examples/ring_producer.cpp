// SPDX-License-Identifier: MIT
//
// Records through shared memory, the writing side. In two shells, in any order:
//
//     WEIR_RUNTIME_DIR=/tmp/example build/gcc/examples/ring_producer
//     WEIR_RUNTIME_DIR=/tmp/example build/gcc/examples/ring_consumer
//
// Shows: a ring served under a name, filling a slot in place, waiting while the ring is full, and closing so that the
// reader gets everything. While both sides are busy neither makes a system call. `weir ls` shows it meanwhile.
#include "ring_reading.hpp"

#include <weir/weir.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

Task<> produce(Scheduler& scheduler) {
    // The memory is all there from now on: a full ring is a wait, never a failure to allocate.
    WEIR_CO_TRY(auto ring, weir::ipc::RingWriter<Reading>::create(scheduler, readings, {.slots = 4}));
    for (std::int32_t i = 0; i < 10; ++i) {
        // Full: waits on the semaphore "space", until a reader has come and has released a record.
        WEIR_CO_TRY(auto slot, ring.reserve().within(60s));
        *slot = {.taken_ns = static_cast<std::uint64_t>(weir::to_ns(scheduler.now())),
                 .millicelsius = 20'000 + 100 * i,
                 .sensor = 7};
        slot.commit();  // posts "items"; a slot that is dropped instead was never there
    }
    WEIR_CO_CHECK(ring.close().within(60s));  // waits until the last record was released
    std::puts("all ten were read");
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, produce);
}
