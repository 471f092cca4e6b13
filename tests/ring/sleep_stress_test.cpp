// SPDX-License-Identifier: MIT
//
// Two processes on every pair of backends, on one core and on two, that sleep at random, so that their waits begin and
// end at every distance from each other. A wait that its deadline ends although the peer did its part is a wake-up
// that was lost.
//
//     WEIR_RING_STRESS_S   seconds for each of the pairs (default 0.2)
#include "ring_place.hpp"

#include "io/running.hpp"
#include "support/skip.hpp"
#include "support/uring_probe.hpp"

#include <cstdlib>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using ipc::ByteRingReader;
using ipc::ByteRingWriter;
using std::chrono::microseconds;

// Far beyond what a sleeping peer takes: who waits that long was not woken.
constexpr auto patience = 20s;

struct Run {
    BackendChoice writer;
    BackendChoice reader;
    int cores;
    std::uint32_t seed;
    Duration span;
    ipc::LinkTrust trust;  // eventfds and in place, or packets and copies
};

class Random {
public:
    explicit Random(std::uint32_t seed) noexcept : state_(seed * 2'654'435'761U + 1) {}
    std::uint32_t below(std::uint32_t limit) noexcept {
        state_ = state_ * 1'664'525U + 1'013'904'223U;
        return (state_ >> 8) % limit;
    }

private:
    std::uint32_t state_;
};

// Mostly works on, sometimes spins for a moment, sometimes sleeps.
Task<> dawdle(Scheduler& scheduler, Random& random) {
    const std::uint32_t choice = random.below(16);
    if (choice < 10) co_return;
    if (choice < 13) {
        const Instant until = after(scheduler.now(), microseconds(random.below(30)));
        while (scheduler.now() < until) {}
        co_return;
    }
    WEIR_CO_CHECK(sleep_for(microseconds(random.below(200))));
}

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

constexpr Budget spinning{.frame_bytes = 32 * 1024, .descriptors = 16, .links = 4};
constexpr Budget never_spinning{.frame_bytes = 32 * 1024, .descriptors = 16, .links = 4, .spin_us = 0};

template <Budget budget, class Make>
int be(BackendChoice backend, Make make) {
    StaticScheduler<budget> scheduler;
    if (!scheduler.start({.backend = backend, .environment = false})) return 2;
    const auto outcome = scheduler.run(make(scheduler));
    if (outcome) return 0;
    std::fprintf(stderr, "%s\n", Running::text_of_error(outcome).c_str());
    return 1;
}

pid_t start(const Run& run, const Place& place, bool writes) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int i = 0; i < run.cores; ++i) CPU_SET(static_cast<std::size_t>(i), &cores);
    if (::sched_setaffinity(0, sizeof(cores), &cores) != 0) ::_exit(3);
    const auto make = [&](Scheduler& scheduler) {
        return writes ? write_for(scheduler, place, run) : read_all(scheduler, place, run);
    };
    const BackendChoice backend = writes ? run.writer : run.reader;
    ::_exit(run.seed % 2 == 0 ? be<spinning>(backend, make) : be<never_spinning>(backend, make));
}

void stress(const Run& run) {
    INFO(text(run.writer) << " to " << text(run.reader) << " on " << run.cores << " cores, seed "
                          << run.seed);
    const Place place(run.trust);
    const pid_t writer = start(run, place, true);
    const pid_t reader = start(run, place, false);
    for (const pid_t child : {writer, reader}) {
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
}

bool core_allowed(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    return ::sched_getaffinity(0, sizeof(cores), &cores) == 0 &&
           CPU_ISSET(static_cast<std::size_t>(core), &cores);
}

void stress_on(int cores) {
    const char* const asked = std::getenv("WEIR_RING_STRESS_S");
    const auto span = saturating_ns(std::chrono::duration<double>(asked != nullptr ? std::atof(asked) : 0.2));
    const bool without_uring = !why_no_io_uring().empty();
    std::uint32_t seed = static_cast<std::uint32_t>(first_seed());
    for (const auto writer : {BackendChoice::epoll, BackendChoice::io_uring}) {
        for (const auto reader : {BackendChoice::epoll, BackendChoice::io_uring}) {
            if (without_uring && (writer == BackendChoice::io_uring || reader == BackendChoice::io_uring))
                continue;
            stress({writer, reader, cores, seed++, span, ipc::LinkTrust::everyone});
            stress({writer, reader, cores, seed++, span / 2, ipc::LinkTrust::nobody});
        }
    }
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
