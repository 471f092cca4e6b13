// SPDX-License-Identifier: MIT
//
// bench_topic: one publishes, several read, in shared memory by hand.
//
// A ring of samples, each with a number that is odd while the sample is written. Nobody waits for anybody: a reader copies
// a sample out, looks at its number again, and goes on with the newest when it was overtaken. It can neither sleep nor
// hold a sample, and nobody learns that another one has died.

#include "ring.hpp"

#include <atomic>
#include <new>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr std::size_t line_size = 64;

struct alignas(line_size) Place {
    std::atomic<std::uint64_t> number{0};
    alignas(line_size) Record record{};
};
struct Broadcast {
    alignas(line_size) std::atomic<std::uint64_t> published{0};
    alignas(line_size) std::atomic<std::uint32_t> readers{0};
    std::atomic<bool> over{false};
    std::array<Place, ring_slots> places{};
};
Broadcast* broadcast = nullptr;

void prepare() {
    void* const memory = mmap(nullptr, sizeof(Broadcast), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    broadcast = ::new (memory) Broadcast;
}

template <std::uint32_t readers>
void publish_all(Batches& batches) {
    while (broadcast->readers.load(std::memory_order_acquire) < readers) {}
    std::uint64_t number = 0;
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            Place& place = broadcast->places[number % ring_slots];
            place.number.store(2 * number + 1, std::memory_order_relaxed);
            std::atomic_thread_fence(std::memory_order_release);
            fill(place.record, number);
            place.number.store(2 * number + 2, std::memory_order_release);
            broadcast->published.store(++number, std::memory_order_release);
        }
    } while (batches.lap());
    broadcast->over.store(true, std::memory_order_release);
}

void read_all() {
    broadcast->readers.fetch_add(1, std::memory_order_acq_rel);
    std::uint64_t next = 0;
    std::uint64_t differences = 0;
    while (!broadcast->over.load(std::memory_order_acquire)) {
        const std::uint64_t published = broadcast->published.load(std::memory_order_acquire);
        if (published - next > ring_slots) next = published - 1;
        for (; next < published; ++next) {
            const Place& place = broadcast->places[next % ring_slots];
            const std::uint64_t before = place.number.load(std::memory_order_acquire);
            const Record copy = place.record;
            std::atomic_thread_fence(std::memory_order_acquire);
            const std::uint64_t after = place.number.load(std::memory_order_relaxed);
            if (before == 2 * next + 2 && after == before) differences |= difference(copy, next);
        }
    }
    check_record(differences);
}

template <std::uint32_t readers>
void serve_all(std::size_t) {
    for (std::uint32_t i = 1; i < readers; ++i) {
        const pid_t child = fork();
        if (child < 0) fail("fork");
        if (child != 0) continue;
        read_all();
        _exit(0);
    }
    read_all();
    int status = 0;
    while (wait(&status) > 0)
        if (status != 0) _exit(1);
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    constexpr std::array rings{
        NamedRing{"broadcast-1", {2, one_way_batch, prepare, publish_all<1>, serve_all<1>}},
        NamedRing{"broadcast-4", {2, one_way_batch, prepare, publish_all<4>, serve_all<4>}},
    };
    return ring_main(std::span(argv, static_cast<std::size_t>(argc)), rings);
}
