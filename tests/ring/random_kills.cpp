// SPDX-License-Identifier: MIT
//
// A writer and a reader of a ring, both of which sleep now and then. Records are numbered, and a writer writes down, in
// memory that outlives it, how many it has committed. *Lost* is one that its reader did not get in its turn, whole; one that
// was committed before the writer was killed and that a reader which lived did not get before it was told; and one that a
// reader was killed with, or had not seen, and that its successor did not begin with. A ring goes with its writer: what it
// held while nobody was attached is promised to nobody.
#include <weir/ipc/ring/ring.hpp>

#include <weir/coro/sleep.hpp>
#include <weir/scheduler/scheduler.hpp>

#include "support/killed_processes.hpp"
#include "support/random_kills.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;

struct Numbered {
    std::uint64_t writer;  ///< the how manieth it is
    std::uint64_t number;  ///< of those that it committed
    std::uint64_t check[4];
};
using Writer = ipc::RingWriter<Numbered>;
using Reader = ipc::RingReader<Numbered>;

constexpr ipc::RingName name{"numbers"};
constexpr std::uint32_t batch_max = 8;  // records that a reader releases together, and that may come again
constexpr std::uint64_t writers_max = 1 << 16;

std::uint64_t check_of(std::uint64_t writer, std::uint64_t number, std::uint64_t index) {
    return (writer * 77'777 + number + index) * 0x9e37'79b9'7f4a'7c15;
}

struct Ledger {
    std::atomic<std::uint64_t> writers{0};
    std::atomic<std::uint64_t> read{0};
    std::atomic<bool> enough{false};
    std::atomic<std::uint64_t> lost{0};
    std::atomic<std::uint64_t> committed[writers_max];
    std::atomic<std::uint64_t> next[writers_max];  // that no reader has seen
};
Ledger* ledger = nullptr;
const ipc::RuntimeDirectory* directory = nullptr;

constexpr Budget budget{.frame_bytes = 64 * 1024, .submissions = 32, .descriptors = 32, .links = 4};
constinit StaticScheduler<budget> scheduler;

Task<> write_bursts(Scheduler& on, std::uint32_t seed) {
    std::minstd_rand random(seed);
    const std::uint64_t writer = ledger->writers.fetch_add(1);
    if (writer >= writers_max) co_return co_await fail(Errc::too_large, "writers");
    ipc::RingOptions options{.slots = 64};
    options.link.directory = directory;
    WEIR_CO_TRY(auto ring, Writer::create(on, name, options));
    for (std::uint64_t number = 0; !ledger->enough;) {
        for (std::uint64_t burst = random() % 300; burst > 0 && !ledger->enough; --burst) {
            auto reserved = co_await ring.reserve().within(100ms);
            if (!reserved && reserved.error() == Errc::timed_out) continue;  // nobody reads
            WEIR_CO_TRY(auto slot, std::move(reserved));
            slot->writer = writer;
            slot->number = number;
            for (std::uint64_t i = 0; i < std::size(slot->check); ++i)
                slot->check[i] = check_of(writer, number, i);
            slot.commit();
            ledger->committed[writer] = ++number;
        }
        WEIR_CO_CHECK(sleep_for(std::chrono::microseconds(random() % 100)));
    }
}

void check(const Numbered& record, bool first, std::uint64_t& expected) {
    if (record.writer >= writers_max) {
        ledger->lost.fetch_add(1);
        return;
    }
    auto& next = ledger->next[record.writer];
    if (first) {
        // What its predecessor had not seen, or held when it was killed.
        if (record.number > next || record.number + batch_max < next) ledger->lost.fetch_add(1);
        expected = record.number;
    }
    bool good = record.number == expected;
    for (std::uint64_t i = 0; i < std::size(record.check); ++i)
        good = good && record.check[i] == check_of(record.writer, record.number, i);
    if (!good) ledger->lost.fetch_add(1);
    expected = record.number + 1;
    if (next < expected) next = expected;
}

Task<> read_one_writer(Scheduler&, Reader& ring, std::minstd_rand& random) {
    std::uint64_t writer = writers_max;
    std::uint64_t expected = 0;
    while (!ledger->enough) {
        {
            const auto most = static_cast<std::uint32_t>(1 + random() % batch_max);
            auto taken = co_await ring.next_some(most).within(100ms);
            if (!taken && taken.error() == Errc::timed_out) continue;
            if (!taken && (taken.error() == Errc::peer_lost || taken.error() == Errc::ended)) {
                if (writer < writers_max && expected < ledger->committed[writer])
                    ledger->lost.fetch_add(ledger->committed[writer] - expected);
                co_return;
            }
            WEIR_CO_TRY(auto some, std::move(taken));
            for (std::uint32_t i = 0; i < some.size(); ++i) {
                const bool first = writer == writers_max;
                if (first) writer = some[i].writer;
                if (some[i].writer != writer) ledger->lost.fetch_add(1);
                check(some[i], first, expected);
                ledger->read.fetch_add(1);
            }
        }
        if (random() % 64 == 0) WEIR_CO_CHECK(sleep_for(std::chrono::microseconds(random() % 100)));
    }
}

Task<> read_bursts(Scheduler& on, std::uint32_t seed) {
    std::minstd_rand random(seed);
    while (!ledger->enough) {
        // None is served for as long as the writer is not back.
        auto opened = co_await Reader::open(on, name, {.directory = directory}).within(100ms);
        if (!opened && opened.error() == Errc::timed_out) continue;
        WEIR_CO_TRY(auto ring, std::move(opened));
        WEIR_CO_CHECK(read_one_writer(on, ring, random));
    }
}

int play(std::size_t role, std::uint32_t started) {
    return weir::test::play_as(role == 0 ? "writer" : "reader", scheduler, started, [=] {
        return role == 0 ? write_bursts(scheduler, started) : read_bursts(scheduler, started);
    });
}

}  // namespace

weir::test::RandomKills weir::test::kill_ring_processes(std::uint64_t kills, std::uint64_t between) {
    const KilledFolder folder;
    const auto found = ipc::RuntimeDirectory::at(folder.path());
    if (!found) return {.failure = "no runtime directory"};
    directory = &*found;
    ledger = ::new (shared_memory(sizeof(Ledger))) Ledger;

    KilledProcesses processes(2, play, ledger->read);
    processes.run(kills, between);
    processes.end(ledger->enough);
    return {.kills = processes.killed,
            .records = ledger->read,
            .lost = ledger->lost,
            .left = folder.count(),
            .failure = processes.failure};
}
