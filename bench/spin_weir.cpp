// SPDX-License-Identifier: MIT
//
// bench_spin_weir: what looking before the thread blocks (Budget::spin_us) buys, and what processor time it costs.
//
//   bursts   64 records 4 us apart, then a pause of a millisecond
//   steady   a record every 10 us
//   idle     a record every 5 ms
//
// The child writes on a core of its own, each record with the time at which it was written; the parent reads on another
// one. The figure is the median age of a record when its reader has it. `reader_cpu_ns` is the processor time of the
// reading process for each record, `sleeps_percent` how many of a hundred records found it asleep. With `-without` the
// reader blocks at once.

#include "ring.hpp"

#include "weir/core/report.hpp"
#include "weir/coro/sleep.hpp"
#include "weir/ipc/ring/ring.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace bench {

namespace {

using namespace std::chrono_literals;
using Reader = weir::ipc::RingReader<Record>;
using Writer = weir::ipc::RingWriter<Record>;

struct Load {
    std::string_view name;
    std::size_t burst;     // records between two pauses
    weir::Duration apart;  // from one of them to the next
    weir::Duration pause;
};
constexpr std::array loads{Load{"bursts", 64, 4us, 1ms}, Load{"steady", 1, 0us, 10us},
                           Load{"idle", 1, 0us, 5ms}};
// For less the writer stays awake, to be exact.
constexpr weir::Duration shortest_sleep = 100us;

constexpr weir::Budget with_looks{.frame_bytes = 16 * 1024, .submissions = 32, .descriptors = 32, .links = 4};
constexpr weir::Budget without_looks{
    .frame_bytes = 16 * 1024, .submissions = 32, .descriptors = 32, .links = 4, .spin_us = 0};
constinit weir::StaticScheduler<with_looks> looking;
constinit weir::StaticScheduler<without_looks> blocking;

constexpr weir::ipc::RingName name{"bench/paced"};

// --- the writer

weir::Task<> send(weir::Scheduler& on, Load load, std::size_t records) {
    WEIR_CO_TRY(auto ring, Writer::create(on, name, {.slots = ring_slots}));
    while (!ring.has_reader()) WEIR_CO_CHECK(weir::sleep_for(1ms));
    WEIR_CO_CHECK(weir::sleep_for(10ms));
    for (std::uint64_t number = 0; number < records; ++number) {
        const weir::Duration span = number % load.burst == 0 ? load.pause : load.apart;
        if (span >= shortest_sleep) {
            WEIR_CO_CHECK(weir::sleep_for(span));
        } else {
            // From now on, not from when the last one was due: who was interrupted does not catch up at once.
            const weir::Instant due = weir::MonotonicClock::now() + span;
            while (weir::MonotonicClock::now() < due) WEIR_CO_CHECK(weir::yield());
        }
        WEIR_CO_TRY(auto slot, ring.reserve());
        fill(*slot, number);
        slot->words.back() = now_ns();
        slot.commit();
    }
    WEIR_CO_CHECK(ring.close().within(10s));
}

// --- the reader

struct Found {
    std::vector<std::uint64_t> ages_ns;
    std::uint64_t processor_ns = 0;
    std::uint64_t sleeps = 0;
};

std::uint64_t processor_ns() {
    timespec now{};
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0) fail("clock_gettime");
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

weir::Task<> take(weir::Scheduler& on, Found& found) {
    WEIR_CO_TRY(auto ring, Reader::open(on, name).within(10s));
    const std::uint64_t before_ns = processor_ns();
    std::uint64_t number = 0;
    for (std::uint64_t& age_ns : found.ages_ns) {
        WEIR_CO_TRY(const auto record, ring.next());
        age_ns = now_ns() - record->words.back();
        check_record(record->words.front() ^ number++);
    }
    found.processor_ns = processor_ns() - before_ns;
    found.sleeps = ring.sleeps();
    auto rest = co_await ring.next();
    if (rest || rest.error() != weir::Errc::ended) fail("the ring did not end");
}

// --- both

void run(weir::Scheduler& on, weir::Task<> root) {
    const auto result = on.run(std::move(root));
    if (result) return;
    weir::report(result.error());
    std::exit(1);
}

void start(weir::Scheduler& scheduler, std::size_t core) {
    if (!scheduler.start()) skip(scheduler.backend_reason().data());
    (void)scheduler.linger();  // it asks how many processors there are when it would first look
    pin_to_core(core);  // not before: one that may run on a single processor from the start never looks
}

int measure(const Load& load, weir::Scheduler& readers, std::size_t records) {
    std::array<char, 32> directory{"/tmp/weir-bench-XXXXXX"};
    if (mkdtemp(directory.data()) == nullptr) fail("mkdtemp");
    if (setenv("WEIR_RUNTIME_DIR", directory.data(), 1) != 0) fail("setenv");
    Found found;
    found.ages_ns.resize(records);
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        start(looking, 0);
        run(looking, send(looking, load, records));
        _exit(0);
    }
    start(readers, 1);
    run(readers, take(readers, found));
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) fail("the writer failed");
    if (rmdir(directory.data()) != 0) fail("a ring left something behind: rmdir");

    const auto middle = found.ages_ns.begin() + static_cast<std::ptrdiff_t>(records / 2);
    std::nth_element(found.ages_ns.begin(), middle, found.ages_ns.end());
    print_ns(static_cast<double>(*middle));
    print_extra("reader_cpu_ns", static_cast<double>(found.processor_ns) / static_cast<double>(records));
    print_extra("sleeps_percent", 100 * static_cast<double>(found.sleeps) / static_cast<double>(records));
    return 0;
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    constexpr std::string_view suffix = "-without";
    if (argc == 3) {
        std::string_view wanted = argv[1];
        const bool looks = !wanted.ends_with(suffix);
        if (!looks) wanted.remove_suffix(suffix.size());
        for (const Load& load : loads) {
            if (wanted != load.name) continue;
            weir::Scheduler& readers =
                looks ? static_cast<weir::Scheduler&>(looking) : static_cast<weir::Scheduler&>(blocking);
            return measure(load, readers, count_from(argv[2]));
        }
    }
    std::fprintf(stderr, "usage: %s bursts|steady|idle[-without] RECORDS\n", argv[0]);
    return 2;
}
