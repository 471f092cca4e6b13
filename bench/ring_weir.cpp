// SPDX-License-Identifier: MIT
//
// bench_ring_weir: RingWriter and RingReader between two processes, each record awaited.
//
// A two-core program pins its processes only when their schedulers know how many processors there are, since one that may
// run on a single one never spins.

#include "load_marks.hpp"
#include "ring.hpp"

#include "weir/core/report.hpp"
#include "weir/ipc/ring/ring.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <unistd.h>

namespace bench {

namespace {

using namespace std::chrono_literals;
using Reader = weir::ipc::RingReader<Record>;
using Writer = weir::ipc::RingWriter<Record>;

constexpr weir::Budget budget{
    .frame_bytes = 16 * 1024, .submissions = 32, .descriptors = 32, .links = 4, .spin_us = BENCH_SPIN_US};
// Both processes are made by a fork: each starts a scheduler of its own in the same static memory.
constinit weir::StaticScheduler<budget> scheduler;

constexpr weir::ipc::RingName there_name{"bench/there"};
constexpr weir::ipc::RingName back_name{"bench/back"};

std::array<char, 32> directory{"/tmp/weir-bench-XXXXXX"};

void make_directory() {
    if (mkdtemp(directory.data()) == nullptr) fail("mkdtemp");
    if (setenv("WEIR_RUNTIME_DIR", directory.data(), 1) != 0) fail("setenv");
}

void remove_directory() {
    if (rmdir(directory.data()) != 0) fail("a ring left something behind: rmdir");
}

template <weir::BackendChoice backend>
void begin() {
    if (!scheduler.start({.backend = backend})) skip(scheduler.backend_reason().data());
    (void)scheduler.linger();  // it asks how many processors there are when it would first look
}

void run(weir::Task<> root) {
    const auto result = scheduler.run(std::move(root));
    if (result) return;
    weir::report(result.error());
    std::exit(1);
}

// --- round trips

weir::Task<> ask(weir::Scheduler& on, Batches& batches) {
    WEIR_CO_TRY(auto there, Writer::create(on, there_name));
    WEIR_CO_TRY(auto back, Reader::open(on, back_name).within(10s));
    std::uint64_t number = 0;
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            WEIR_CO_TRY(auto slot, there.reserve());
            fill(*slot, ++number);
            slot.commit();
            WEIR_CO_TRY(const auto answer, back.next());
            check_record(difference(*answer, number));
        }
    } while (batches.lap());
}

weir::Task<> answer(weir::Scheduler& on, std::size_t operations) {
    WEIR_CO_TRY(auto back, Writer::create(on, back_name));
    WEIR_CO_TRY(auto there, Reader::open(on, there_name).within(10s));
    for (std::uint64_t number = 1; number <= operations; ++number) {
        WEIR_CO_TRY(const auto question, there.next());
        check_record(difference(*question, number));
        WEIR_CO_TRY(auto slot, back.reserve());
        fill(*slot, number);
        slot.commit();
    }
    WEIR_CO_CHECK(back.close().within(10s));
}

void measure_round_trips(Batches& batches) {
    run(ask(scheduler, batches));
}
void serve_round_trips(std::size_t operations) {
    run(answer(scheduler, operations));
}

// --- one way

// The first records find the other side still attaching.
constexpr std::uint64_t warm_up = 4 * one_way_batch;

weir::Task<> send_alone(weir::Scheduler& on, std::size_t operations) {
    WEIR_CO_TRY(auto ring, Writer::create(on, there_name, {.slots = ring_slots}));
    for (std::uint64_t number = 0; number < operations; ++number) {
        if (number == warm_up) mark_load();
        WEIR_CO_TRY(auto slot, ring.reserve());
        fill(*slot, number);
        slot.commit();
    }
    mark_load();
    WEIR_CO_CHECK(ring.close().within(10s));
}

weir::Task<> take_alone(weir::Scheduler& on, Batches& batches) {
    WEIR_CO_TRY(auto ring, Reader::open(on, there_name).within(10s));
    std::uint64_t number = 0;
    std::uint64_t differences = 0;
    batches.start();
    do {
        if (number == warm_up) mark_load();
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            WEIR_CO_TRY(const auto record, ring.next());
            differences |= difference(*record, number++);
        }
    } while (batches.lap());
    mark_load();
    check_record(differences);
}

weir::Task<> send_batches(weir::Scheduler& on, std::size_t operations) {
    WEIR_CO_TRY(auto ring, Writer::create(on, there_name, {.slots = ring_slots}));
    for (std::uint64_t number = 0; number < operations;) {
        WEIR_CO_TRY(auto slots, ring.reserve_some(ring_batch));
        const auto left =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(operations - number, slots.size()));
        for (std::uint32_t i = 0; i < left; ++i) fill(slots[i], number++);
        slots.commit(left);
    }
    WEIR_CO_CHECK(ring.close().within(10s));
}

weir::Task<> take_batches(weir::Scheduler& on, Batches& batches) {
    WEIR_CO_TRY(auto ring, Reader::open(on, there_name).within(10s));
    std::uint64_t number = 0;
    std::uint64_t differences = 0;
    batches.start();
    do {
        for (std::size_t left = batches.batch_operations(); left > 0;) {
            const auto most = static_cast<std::uint32_t>(std::min(left, ring_batch));
            WEIR_CO_TRY(const auto records, ring.next_some(most));
            for (std::uint32_t i = 0; i < records.size(); ++i)
                differences |= difference(records[i], number++);
            left -= records.size();
        }
    } while (batches.lap());
    check_record(differences);
}

void take_one_way(Batches& batches) {
    run(take_alone(scheduler, batches));
}
void send_one_way(std::size_t operations) {
    run(send_alone(scheduler, operations));
}
void take_one_way_16(Batches& batches) {
    run(take_batches(scheduler, batches));
}
void send_one_way_16(std::size_t operations) {
    run(send_batches(scheduler, operations));
}

template <weir::BackendChoice backend>
constexpr RingSides round_trips(std::size_t cores, std::size_t batch) {
    return {cores,          batch,           make_directory, measure_round_trips, serve_round_trips,
            begin<backend>, remove_directory};
}

template <weir::BackendChoice backend>
constexpr RingSides one_way(void (*take)(Batches&), void (*send)(std::size_t)) {
    return {2, one_way_batch, make_directory, take, send, begin<backend>, remove_directory};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    constexpr auto epoll = weir::BackendChoice::epoll;
    constexpr auto uring = weir::BackendChoice::io_uring;
    constexpr std::array rings{
        NamedRing{"asleep-epoll", round_trips<epoll>(1, asleep_batch)},
        NamedRing{"asleep-uring", round_trips<uring>(1, asleep_batch)},
        NamedRing{"busy-epoll", round_trips<epoll>(2, busy_batch)},
        NamedRing{"busy-uring", round_trips<uring>(2, busy_batch)},
        NamedRing{"one-way-epoll", one_way<epoll>(take_one_way, send_one_way)},
        NamedRing{"one-way-uring", one_way<uring>(take_one_way, send_one_way)},
        NamedRing{"one-way-16-epoll", one_way<epoll>(take_one_way_16, send_one_way_16)},
        NamedRing{"one-way-16-uring", one_way<uring>(take_one_way_16, send_one_way_16)},
    };
    return ring_main(std::span(argv, static_cast<std::size_t>(argc)), rings);
}
