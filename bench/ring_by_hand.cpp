// SPDX-License-Identifier: MIT
//
// bench_ring: shared memory by hand, each approach written for its one purpose.
//
//   asleep       a record in shared memory and a blocking eventfd for each direction
//   cache-line   a number on a cache line for each direction: the least that two cores need to answer each other
//   one-way      a ring of one producer and one consumer, each of which keeps a copy of the other's index and looks
//                at it only when the copy says full or empty; one-way-16 publishes and releases 16 records at a time
//
// Nobody here can learn that the other side has died, and a record has one size.

#include "ring.hpp"

#include <algorithm>
#include <atomic>
#include <new>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr std::size_t line_size = 64;

template <class Shared>
Shared* share() {
    void* const memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    return ::new (memory) Shared;
}

// --- asleep

struct Mailbox {
    alignas(line_size) Record record{};
    int bell = -1;

    void open() {
        bell = eventfd(0, EFD_CLOEXEC);
        if (bell < 0) fail("eventfd");
    }
    void ring() const {
        constexpr std::uint64_t one = 1;
        if (write(bell, &one, sizeof one) != sizeof one) fail("write to an eventfd");
    }
    void wait() const {
        std::uint64_t count = 0;
        if (read(bell, &count, sizeof count) != sizeof count) fail("read of an eventfd");
    }
};

struct Mailboxes {
    Mailbox there;
    Mailbox back;
};
Mailboxes* mailboxes = nullptr;

void prepare_mailboxes() {
    mailboxes = share<Mailboxes>();
    mailboxes->there.open();
    mailboxes->back.open();
}

// The system calls order the accesses to the records.
void ask_asleep(Batches& batches) {
    std::uint64_t number = 0;
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            fill(mailboxes->there.record, ++number);
            mailboxes->there.ring();
            mailboxes->back.wait();
            check_record(difference(mailboxes->back.record, number));
        }
    } while (batches.lap());
}

void answer_asleep(std::size_t operations) {
    for (std::uint64_t number = 1; number <= operations; ++number) {
        mailboxes->there.wait();
        check_record(difference(mailboxes->there.record, number));
        fill(mailboxes->back.record, number);
        mailboxes->back.ring();
    }
}

// --- cache-line

struct Lines {
    alignas(line_size) std::atomic<std::uint64_t> there{0};
    alignas(line_size) std::atomic<std::uint64_t> back{0};
};
Lines* lines = nullptr;

void prepare_lines() {
    lines = share<Lines>();
}

void ask_busy(Batches& batches) {
    std::uint64_t number = 0;
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            lines->there.store(++number, std::memory_order_release);
            while (lines->back.load(std::memory_order_acquire) != number) {}
        }
    } while (batches.lap());
}

void answer_busy(std::size_t operations) {
    for (std::uint64_t number = 1; number <= operations; ++number) {
        while (lines->there.load(std::memory_order_acquire) != number) {}
        lines->back.store(number, std::memory_order_release);
    }
}

// --- one way

struct Ring {
    alignas(line_size) std::atomic<std::uint32_t> written{0};
    alignas(line_size) std::atomic<std::uint32_t> released{0};
    alignas(line_size) std::array<Record, ring_slots> slots{};

    Record& slot(std::uint32_t index) noexcept { return slots[index % ring_slots]; }
};
Ring* ring = nullptr;

void prepare_ring() {
    ring = share<Ring>();
}

template <std::uint32_t batch>
void send_all(std::size_t operations) {
    std::uint32_t released = 0;
    std::uint32_t written = 0;
    for (std::uint64_t number = 0; number < operations;) {
        while (ring_slots - (written - released) < batch) {
            released = ring->released.load(std::memory_order_acquire);
        }
        for (std::uint32_t i = 0; i < batch; ++i) fill(ring->slot(written++), number++);
        ring->written.store(written, std::memory_order_release);
    }
}

template <std::uint32_t batch>
void take_all(Batches& batches) {
    std::uint32_t written = 0;
    std::uint32_t released = 0;
    std::uint64_t number = 0;
    std::uint64_t differences = 0;
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); i += batch) {
            while (written - released < batch) written = ring->written.load(std::memory_order_acquire);
            for (std::uint32_t k = 0; k < batch; ++k) {
                differences |= difference(ring->slot(released++), number++);
            }
            ring->released.store(released, std::memory_order_release);
        }
    } while (batches.lap());
    check_record(differences);
}

constexpr std::uint32_t alone = 1;
constexpr auto batched = static_cast<std::uint32_t>(ring_batch);

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    constexpr std::array rings{
        NamedRing{"asleep", {1, asleep_batch, prepare_mailboxes, ask_asleep, answer_asleep}},
        NamedRing{"cache-line", {2, busy_batch, prepare_lines, ask_busy, answer_busy}},
        NamedRing{"one-way", {2, one_way_batch, prepare_ring, take_all<alone>, send_all<alone>}},
        NamedRing{"one-way-16", {2, one_way_batch, prepare_ring, take_all<batched>, send_all<batched>}},
    };
    return ring_main(std::span(argv, static_cast<std::size_t>(argc)), rings);
}
