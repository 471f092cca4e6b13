// SPDX-License-Identifier: MIT
//
// Records that wait in a file for whoever reads them. Each function below could be a program of its own, started and
// killed at any time.
//
//     WEIR_RUNTIME_DIR=/tmp/example build/gcc/examples/named_ring
//
// Shows: a named ring that is made by whoever opens it first, a writer that has ended before a reader comes, a reader
// that ends with a record in its hands and the next one, which gets that record again, and removing the ring.
#include <weir/ipc.hpp>
#include <weir/weir.hpp>

#include <cstdint>
#include <cstdio>

using namespace std::chrono_literals;
using weir::Errc, weir::Scheduler, weir::Task;

struct Alarm {
    std::uint32_t number;
    std::uint32_t sensor;
};
inline constexpr weir::ipc::RingName alarms{"example/alarms"};
inline constexpr weir::ipc::NamedRingOptions options{.slots = 8};

Task<> raise_alarms(Scheduler& scheduler) {
    WEIR_CO_TRY(auto ring, weir::ipc::NamedRingWriter<Alarm>::open(scheduler, alarms, options));
    for (std::uint32_t i = 0; i < 3; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve().within(1s));
        *slot = {.number = ring.position(), .sensor = 40 + i};  // goes on where the last writer stopped
        slot.commit();                                          // from here on it is not lost
    }
    std::printf("%u alarms wait, and %s\n", ring.fill(),
                ring.has_reader() ? "are being read" : "nobody reads them");
}

Task<> handle_alarms(Scheduler& scheduler, std::uint32_t steady_until) {
    WEIR_CO_TRY(auto ring, weir::ipc::NamedRingReader<Alarm>::open(scheduler, alarms, options));
    std::printf("reader number %u comes\n", ring.generation() + 1);
    for (;;) {
        auto next = co_await ring.next().within(10ms);
        if (!next && next.error() == Errc::timed_out) co_return;
        WEIR_CO_TRY(auto alarm, std::move(next));
        std::printf("alarm %u of sensor %u\n", alarm->number, alarm->sensor);
        if (alarm->number == steady_until) {
            std::puts("it ends in the middle of that");
            alarm.defer();  // not released: as if it had been killed here
            co_return;
        }
    }  // released here: handled, and not before
}

Task<> one_after_the_other(Scheduler& scheduler) {
    WEIR_CO_CHECK(raise_alarms(scheduler));
    WEIR_CO_CHECK(handle_alarms(scheduler, 1));
    WEIR_CO_CHECK(raise_alarms(scheduler));
    WEIR_CO_CHECK(handle_alarms(scheduler, 100));
    WEIR_CO_TRY(const auto directory, weir::ipc::RuntimeDirectory::find());
    WEIR_CO_CHECK(weir::ipc::remove_named_ring(directory, alarms));
}

constexpr weir::Budget budget{.frame_bytes = 16 * 1024, .submissions = 8, .descriptors = 4, .links = 4};

int main(int argc, char** argv) {
    return weir::run_main<budget>(argc, argv, one_after_the_other);
}
