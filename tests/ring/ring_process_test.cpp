// SPDX-License-Identifier: MIT
//
// A ring between two processes, one of which is killed.
#include "ring_place.hpp"

#include "io/victim.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::RingReader;
using ipc::RingWriter;

Task<> write_and_stay(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(scheduler, readings, place.slots(64)));
    for (std::uint64_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve());
        slot->number = i;
        slot.commit();
    }
    WEIR_CO_TRY(auto unfinished, ring.reserve());
    unfinished->number = count;  // and is never committed
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

Task<> fill_and_reserve_once_more(Scheduler& scheduler, const Place& place, int say_to) {
    WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(scheduler, readings, place.slots(4)));
    for (std::uint64_t i = 0; i < 4; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve());
        slot.commit();
    }
    WEIR_CO_TRY(auto slot, ring.reserve().within(30s));
    slot.abandon();
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

Task<> read_and_stay(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    WEIR_CO_TRY(auto ring, RingReader<Reading>::open(scheduler, readings, place.opened()).within(30s));
    for (std::uint64_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto item, ring.next().within(30s));
        CHECK_IN_TASK(item->number == i);
    }
    WEIR_CO_TRY(auto in_use, ring.next().within(30s));
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

}  // namespace

TEST_CASE("a killed writer's committed records all come, then the reader learns that it was lost") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return write_and_stay(in, place, 40, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& writer) -> Task<> {
        WEIR_CO_TRY(auto ring, RingReader<Reading>::open(of, readings, where.opened()).within(30s));
        for (std::uint64_t i = 0; i < 40; ++i) {
            if (i == 20) writer.kill();
            WEIR_CO_TRY(auto item, ring.next().within(30s));
            CHECK_IN_TASK(item->number == i);
        }
        const auto end = co_await ring.next().within(30s);
        CHECK_IN_TASK(code_of(end) == Errc::peer_lost);
    }(*running, place, victim));
}

TEST_CASE("a writer that sleeps for space is woken by a reader that then waits for something else") {
    skip_where_simulated();
    const Place place;
    Victim writer([&](Scheduler& in, int say_to) { return fill_and_reserve_once_more(in, place, say_to); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, int told) -> Task<> {
        WEIR_CO_TRY(auto ring, RingReader<Reading>::open(of, readings, where.opened()).within(30s));
        // Time for the writer to fall asleep; one that has not is not woken but finds the space.
        WEIR_CO_CHECK(sleep_for(20ms));
        { WEIR_CO_TRY(auto item, ring.next().within(30s)); }
        WEIR_CO_CHECK(readable(told).within(30s));
    }(*running, place, writer.told()));
    writer.wait_until_it_says();
}

TEST_CASE("a reader that waits learns of its writer's death") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return write_and_stay(in, place, 0, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& writer) -> Task<> {
        WEIR_CO_TRY(auto ring, RingReader<Reading>::open(of, readings, where.opened()).within(30s));
        const auto kills = [](Scheduler&, Victim& whom) -> Task<> {
            WEIR_CO_CHECK(sleep_for(5ms));
            whom.kill();
        };
        const auto both = co_await all_of(ring.next().within(30s), kills(of, writer));
        CHECK_IN_TASK(code_of(both) == Errc::peer_lost);
    }(*running, place, victim));
}

TEST_CASE(
    "a killed reader leaves what it had not released to the next one, and a close that waits for it is "
    "told") {
    skip_where_simulated();
    const Place place;
    // Waits for the name until there is one.
    Victim reader_to_die([&](Scheduler& in, int say_to) { return read_and_stay(in, place, 3, say_to); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& victim) -> Task<> {
        WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, where.slots(16)));
        for (std::uint64_t i = 0; i < 10; ++i) {
            WEIR_CO_TRY(auto slot, ring.reserve());
            slot->number = i;
            slot.commit();
        }
        const auto kills = [](Scheduler&, RingWriter<Reading>& waits_for, Victim& whom) -> Task<> {
            while (waits_for.fill() != 7) WEIR_CO_CHECK(sleep_for(1ms));
            whom.kill();
        };
        WEIR_CO_CHECK(kills(of, ring, victim));
        const auto closed = co_await ring.close().within(30s);
        CHECK_IN_TASK(code_of(closed) == Errc::peer_lost);
        WEIR_CO_TRY(auto reader, RingReader<Reading>::open(of, readings, where.opened()).within(30s));
        for (std::uint64_t i = 3; i < 10; ++i) {
            WEIR_CO_TRY(auto item, reader.next().within(30s));
            CHECK_IN_TASK(item->number == i);
        }
        WEIR_CO_CHECK(ring.close().within(30s));
        const auto end = co_await reader.next();
        CHECK_IN_TASK(code_of(end) == Errc::ended);
    }(*running, place, reader_to_die));
}
