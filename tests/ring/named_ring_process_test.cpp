// SPDX-License-Identifier: MIT
//
// Named rings between processes: one that is stopped, one that is killed, and rivals.
#include "named_ring_place.hpp"

#include "io/victim.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include <csignal>
#include <cstring>
#include <optional>
#include <vector>

#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::test;
using namespace weir::test::named;
using namespace std::chrono_literals;

// Stores a record and dies before it rings.
Task<> store_and_die(Scheduler&, const Place& place, int say_to, int listen_to) {
    auto shape = ipc::ring_shape_of<Reading>(4);
    WEIR_CO_TRY(auto file, ipc::NamedRingFile::open(name, shape, ipc::RingSide::writer,
                                                    {.directory = &place.directory}));
    file.ring();  // as each does once when it comes
    say(say_to);
    WEIR_CO_CHECK(readable(listen_to));
    const Reading reading{.number = 0, .value = 0, .sensor = 0};
    std::memcpy(file.data(), &reading, sizeof(reading));
    file.own().cursor.store(1);
    ::kill(::getpid(), SIGKILL);
}

Task<> hold_writer(Scheduler& scheduler, const Place& place, int say_to) {
    WEIR_CO_TRY(auto writer, Writer::open(scheduler, name, place.slots(4)));
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

/// Says so when it has opened the ring, and when it has `count` records.
Task<> read_and_say(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    WEIR_CO_TRY(auto reader, Reader::open(scheduler, name, place.slots(4)));
    say(say_to);
    WEIR_CO_CHECK(expect(scheduler, reader, 0, count));
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}
Task<> write_and_stay(Scheduler& scheduler, const Place& place, std::uint64_t count, int say_to) {
    WEIR_CO_TRY(auto writer, Writer::open(scheduler, name, place.slots(4)));
    say(say_to);
    WEIR_CO_CHECK(put(scheduler, writer, 0, count));
    WEIR_CO_CHECK(sleep_for(1h));
}

}  // namespace

TEST_CASE(
    "a side that is stopped keeps its lock, and the other one waits within its deadlines and loses nothing") {
    skip_where_simulated();
    const Place place;
    {
        Victim reader([&](Scheduler& in, int say_to) { return read_and_say(in, place, 40, say_to); });
        reader.wait_until_it_says();
        Running running;
        running.must_run([](Scheduler& of, const Place& where, Victim& victim) -> Task<> {
            WEIR_CO_TRY(auto writer, Writer::open(of, name, where.slots(4)));
            victim.stop();
            WEIR_CO_CHECK(put(of, writer, 0, 4));
            const auto full = co_await writer.reserve().within(5ms);
            CHECK_IN_TASK(code_of(full) == Errc::timed_out);
            CHECK_IN_TASK(writer.has_reader());
            const auto rival = Reader::open(of, name, where.slots(4));
            CHECK_IN_TASK(code_of(rival) == Errc::in_use);
            CHECK_IN_TASK((!rival && rival.error().a == static_cast<std::uint64_t>(victim.pid())));
            victim.go_on();
            WEIR_CO_CHECK(put(of, writer, 4, 40));
            WEIR_CO_CHECK(readable(victim.told()).within(30s));
        }(*running, place, reader));
        reader.wait_until_it_says();
    }
    REQUIRE(ipc::remove_named_ring(place.directory, name).has_value());
    Victim writer([&](Scheduler& in, int say_to) { return write_and_stay(in, place, 40, say_to); });
    writer.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& victim) -> Task<> {
        WEIR_CO_TRY(auto reader, Reader::open(of, name, where.slots(4)));
        victim.stop();
        std::uint64_t next = 0;
        for (bool empty = false; !empty;) {
            const auto item = co_await reader.next().within(5ms);
            empty = code_of(item) == Errc::timed_out;
            if (!empty) CHECK_IN_TASK((item && (*item)->number == next++));
        }
        CHECK_IN_TASK((next <= 8 && reader.has_writer()));
        victim.go_on();
        WEIR_CO_CHECK(expect(of, reader, next, 40));
    }(*running, place, writer));
}

TEST_CASE("a reader that sleeps is woken by the death of a writer that had stored something and not rung") {
    skip_where_simulated();
    const Place place;
    int go[2];
    REQUIRE(::pipe(go) == 0);
    Victim victim([&](Scheduler& in, int say_to) { return store_and_die(in, place, say_to, go[0]); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, int tell) -> Task<> {
        WEIR_CO_TRY(auto reader, Reader::open(of, name, where.slots(4)));
        const auto lets_it = [](Scheduler&, Reader& ring, int fd) -> Task<> {
            while (ring.sleeps() == 0) WEIR_CO_CHECK(sleep_for(1ms));
            WEIR_CO_CHECK(sleep_for(5ms));
            say(fd);
        };
        const auto waits = [](Scheduler& in, Reader& ring) -> Task<> {
            // A deadline's last look would find the record, too: it must have been found before.
            const auto first = co_await first_of(expect(in, ring, 0, 1), sleep_for(8s));
            CHECK_IN_TASK(first.index() == 0);
        };
        const auto both = co_await all_of(waits(of, reader), lets_it(of, reader, tell));
        CHECK_IN_TASK(both.has_value());
        while (reader.has_writer()) WEIR_CO_CHECK(sleep_for(1ms));
        // It sleeps again, and the next writer wakes it.
        WEIR_CO_TRY(auto writer, Writer::open(of, name, where.slots(4)));
        CHECK_IN_TASK((writer.generation() == 1 && writer.position() == 1));
        const auto again = co_await all_of(expect(of, reader, 1, 3), put(of, writer, 1, 3));
        CHECK_IN_TASK(again.has_value());
    }(*running, place, go[1]));
    ::close(go[0]);
    ::close(go[1]);
}

TEST_CASE("a side that another process has is told with its pid, and free when that one is killed") {
    skip_where_simulated();
    const Place place;
    Victim holder([&](Scheduler& in, int say_to) { return hold_writer(in, place, say_to); });
    holder.wait_until_it_says();
    const auto pid = static_cast<std::uint64_t>(holder.pid());
    Running running;
    const auto rival = Writer::open(*running, name, place.slots(4));
    REQUIRE(code_of(rival) == Errc::in_use);
    CHECK(rival.error().a == pid);
    const auto removed = ipc::remove_named_ring(place.directory, name);
    REQUIRE(code_of(removed) == Errc::in_use);
    CHECK(removed.error().a == pid);
    holder.kill();
    CHECK(Writer::open(*running, name, place.slots(4)).has_value());
}

TEST_CASE("of processes that make a ring at the same time one gets it, and the others are told which") {
    skip_where_simulated();
    for (int round = 0; round < 5; ++round) {
        const Place place;
        constexpr std::size_t count = 6;
        int start[2];
        int done[2];
        REQUIRE((::pipe(start) == 0 && ::pipe(done) == 0));
        std::array<pid_t, count> children{};
        for (pid_t& child : children) {
            child = ::fork();
            REQUIRE(child >= 0);
            if (child != 0) continue;
            ::close(start[1]);
            ::close(done[0]);
            Running running;
            char none = 0;
            if (::read(start[0], &none, 1) != 0) ::_exit(9);  // all at once, when the writing end closes
            auto writer = Writer::open(*running, name, place.slots(4));
            // On a busy machine its holder may take long to tell its pid: then nobody is named.
            while (code_of(writer) == Errc::in_use && writer.error().a == 0)
                writer = Writer::open(*running, name, place.slots(4));
            std::int64_t result = 0;  // it is ours; else its pid, or -1
            if (!writer)
                result = writer.error() == Errc::in_use ? static_cast<std::int64_t>(writer.error().a) : -1;
            if (::write(done[1], &result, sizeof(result)) != sizeof(result)) ::_exit(9);
            for (;;) ::pause();
        }
        ::close(start[0]);
        ::close(start[1]);
        std::vector<std::int64_t> holders;
        std::size_t got = 0;
        for (std::size_t i = 0; i < count; ++i) {
            std::int64_t result = -2;
            REQUIRE(::read(done[0], &result, sizeof(result)) == sizeof(result));
            if (result == 0)
                ++got;
            else
                holders.push_back(result);
        }
        CHECK(got == 1);
        for (const std::int64_t holder : holders) CHECK(holder == holders.front());
        CHECK(std::find(children.begin(), children.end(), static_cast<pid_t>(holders.front())) !=
              children.end());
        for (const pid_t child : children) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
        ::close(done[0]);
        ::close(done[1]);
        CHECK(ipc::remove_named_ring(place.directory, name).has_value());
        CHECK(place.files().empty());
    }
}
