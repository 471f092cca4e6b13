// SPDX-License-Identifier: MIT
//
// A ring between two processes, one of which is killed.
#include "ring_place.hpp"

#include "io/victim.hpp"
#include "shm/starved.hpp"

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

Task<> write_on(Scheduler& scheduler, const Place& place, int say_to) {
    WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(scheduler, readings, place.slots(4)));
    say(say_to);
    for (std::uint64_t i = 0;; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve());
        slot->number = i;
        slot.commit();
    }
}

/// Says so when it has them all.
Task<> read_and_say(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    WEIR_CO_TRY(auto ring, RingReader<Reading>::open(scheduler, readings, place.opened()).within(30s));
    for (std::uint64_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto item, ring.next().within(30s));
        CHECK_IN_TASK(item->number == i);
    }
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

TEST_CASE("a writer that is stopped is not lost: its reader's deadlines pass, and then its records go on") {
    skip_where_simulated();
    for (const auto trust : {ipc::LinkTrust::same_user, ipc::LinkTrust::nobody}) {
        const Place place(trust);
        Victim victim([&](Scheduler& in, int say_to) { return write_on(in, place, say_to); });
        victim.wait_until_it_says();
        Running running;
        running.must_run([](Scheduler& of, const Place& where, Victim& writer) -> Task<> {
            WEIR_CO_TRY(auto ring, RingReader<Reading>::open(of, readings, where.opened()).within(30s));
            std::uint64_t next = 0;
            for (int round = 0; round < 3; ++round) {
                writer.stop();
                bool late = false;
                while (!late) {
                    auto item = co_await ring.next().within(2ms);
                    late = code_of(item) == Errc::timed_out;
                    if (late) break;
                    CHECK_IN_TASK((item && (*item)->number == next));
                    ++next;
                }
                writer.go_on();
                for (int i = 0; i < 100; ++i) {
                    WEIR_CO_TRY(auto item, ring.next().within(30s));
                    CHECK_IN_TASK(item->number == next);
                    ++next;
                }
            }
        }(*running, place, victim));
    }
}

TEST_CASE("a reader that is stopped keeps its writer waiting within its deadlines, and loses nothing") {
    skip_where_simulated();
    for (const auto trust : {ipc::LinkTrust::same_user, ipc::LinkTrust::nobody}) {
        const Place place(trust);
        Victim victim([&](Scheduler& in, int say_to) { return read_and_say(in, place, 40, say_to); });
        Running running;
        running.must_run([](Scheduler& of, const Place& where, Victim& reader) -> Task<> {
            WEIR_CO_TRY(auto ring, RingWriter<Reading>::create(of, readings, where.slots(4)));
            while (!ring.has_reader()) WEIR_CO_CHECK(sleep_for(1ms));
            reader.stop();
            std::uint64_t next = 0;
            for (bool full = false; !full;) {
                auto slot = co_await ring.reserve().within(2ms);
                full = code_of(slot) == Errc::timed_out;
                if (full) break;
                (*slot)->number = next++;
                slot->commit();
            }
            CHECK_IN_TASK(next == 4);
            reader.go_on();
            while (next < 40) {
                WEIR_CO_TRY(auto slot, ring.reserve().within(30s));
                slot->number = next++;
                slot.commit();
            }
            WEIR_CO_CHECK(readable(reader.told()).within(30s));
        }(*running, place, victim));
        victim.wait_until_it_says();
    }
}

TEST_CASE(
    "without descriptors, on either side, nobody attaches, and the reader that comes later has it all") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return write_and_stay(in, place, 10, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& writer) -> Task<> {
        const auto opens = [](Scheduler& in, const Place& at) -> Task<RingReader<Reading>> {
            WEIR_CO_TRY(auto ring, RingReader<Reading>::open(in, readings, at.opened()).within(200ms));
            co_return ring;
        };
        {
            const FilesUsedUp none;
            const auto ring = co_await opens(of, where);
            CHECK_IN_TASK(code_of(ring) == Errc::no_files);
        }
        WEIR_CO_TRY(const auto refusals, open_while_server_lacks_files(of, writer.pid(), opens, where));
        CHECK_IN_TASK((refusals.late > 0 && refusals.no_files > 0));
        WEIR_CO_TRY(auto ring, RingReader<Reading>::open(of, readings, where.opened()).within(30s));
        for (std::uint64_t i = 0; i < 10; ++i) {
            WEIR_CO_TRY(auto item, ring.next().within(30s));
            CHECK_IN_TASK(item->number == i);
        }
    }(*running, place, victim));
}

TEST_CASE("without memory, or room in its directory, no ring is made and nothing is left, and later one is") {
    if (on_simulated()) skip("what the kernel refuses is asked for once, on a real backend");
    check_starved(true, [](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
        const ipc::RingOptions options{.slots = 64, .link = {.directory = &directory}};
        return code_of(RingWriter<Reading>::create(scheduler, readings, options));
    });
}

TEST_CASE("a writer that can map no more tells its reader so, and lets it in when it can") {
    skip_where_simulated();
    if (!AddressesUsedUp::possible()) skip("RLIMIT_AS limits nothing here: an emulator, or a sanitizer");
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return write_and_stay(in, place, 10, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& writer) -> Task<> {
        const auto opens = [](Scheduler& in, const Place& at) -> Task<RingReader<Reading>> {
            WEIR_CO_TRY(auto ring, RingReader<Reading>::open(in, readings, at.opened()).within(30s));
            co_return ring;
        };
        WEIR_CO_CHECK(open_while_server_lacks_memory(of, writer.pid(), opens, where));
    }(*running, place, victim));
}
