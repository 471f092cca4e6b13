// SPDX-License-Identifier: MIT
//
// Two processes on every pair of backends, on one core and on two, that sleep at random, so that their waits begin and
// end at every distance from each other. A wait that its deadline ends although the peer did its part is a wake-up
// that was lost.
//
//     WEIR_RING_STRESS_S   seconds for each of the pairs (default 0.2)
#include "ring_place.hpp"

#include "io/restless.hpp"
#include "support/skip.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::ByteRingReader;
using ipc::ByteRingWriter;

struct Run {
    BackendChoice writer;
    BackendChoice reader;
    int cores;
    std::uint32_t seed;
    Duration span;
    ipc::LinkTrust trust;  // eventfds and in place, or packets and copies
};

Task<> write_for(Scheduler& scheduler, const Place& place, Run run) {
    Random random(run.seed);
    WEIR_CO_TRY(auto ring, ByteRingWriter::create(scheduler, readings, place.bytes(256)));
    while (!ring.has_reader()) WEIR_CO_CHECK(sleep_for(1ms));
    const Instant until = after(scheduler.now(), run.span);
    std::uint32_t number = 0;
    while (scheduler.now() < until) {
        const std::uint32_t size = 4 + random.below(100);
        const Instant late = after(scheduler.now(), patience);
        WEIR_CO_TRY(auto record, ring.reserve(size).by(late));
        // The end of a wait looks into the ring once more, so a value too can be the deadline's.
        if (scheduler.now() >= late) co_return co_await fail(Errc::timed_out, "a wake-up for space");
        std::memcpy(record.bytes().data(), &number, sizeof(number));
        ++number;
        if (random.below(5) == 0) {
            record.defer();
        } else {
            record.commit();
        }
        WEIR_CO_CHECK(dawdle(scheduler, random));
    }
    ring.commit();
    WEIR_CO_CHECK(ring.close().within(patience));
}

Task<> read_all(Scheduler& scheduler, const Place& place, Run run) {
    Random random(run.seed + 99);
    WEIR_CO_TRY(auto ring, ByteRingReader::open(scheduler, readings, place.opened()).within(patience));
    for (std::uint32_t number = 0;; ++number) {
        const Instant late = after(scheduler.now(), patience);
        auto next = co_await ring.next().by(late);
        if (!next && next.error() == Errc::ended) {
            if (number < 10) co_return co_await fail(Errc::ended, "before much came");
            co_return;
        }
        WEIR_CO_TRY(auto record, std::move(next));
        if (scheduler.now() >= late) co_return co_await fail(Errc::timed_out, "a wake-up for items");
        std::uint32_t got = 0;
        std::memcpy(&got, record.bytes().data(), sizeof(got));
        if (got != number) co_return co_await fail(Errc::corrupt, "a record", got, number);
        if (random.below(4) == 0) {
            record.defer();
        } else {
            record.release();
        }
        WEIR_CO_CHECK(dawdle(scheduler, random));
    }
}

void stress(const Run& run) {
    INFO(text(run.writer) << " to " << text(run.reader) << " on " << run.cores << " cores, seed "
                          << run.seed);
    const Place place(run.trust);
    const pid_t writer = start_restless(run.cores, run.writer, run.seed,
                                        [&](Scheduler& in) { return write_for(in, place, run); });
    const pid_t reader = start_restless(run.cores, run.reader, run.seed,
                                        [&](Scheduler& in) { return read_all(in, place, run); });
    must_all_succeed({writer, reader});
}

void stress_on(int cores) {
    on_each_pair("WEIR_RING_STRESS_S",
                 [cores](BackendChoice writer, BackendChoice reader, std::uint32_t& seed, Duration span) {
                     stress({writer, reader, cores, seed++, span, ipc::LinkTrust::everyone});
                     stress({writer, reader, cores, seed, span / 2, ipc::LinkTrust::nobody});
                 });
}

}  // namespace

TEST_CASE("two processes on one core that sleep at random lose no wake-up, on any pair of backends") {
    if (!core_allowed(0)) skip("the first core is not allowed");
    stress_on(1);
}

TEST_CASE("two processes on two cores that sleep at random lose no wake-up, on any pair of backends") {
    if (!core_allowed(0) || !core_allowed(1)) skip("two cores are not allowed");
    stress_on(2);
}
