// SPDX-License-Identifier: MIT
//
// Testing a service of your own on the simulated backend: a thousand different runs in a blink, each repeatable.
//
//     build/gcc/examples/simulated_service
//
// The service adds up the numbers that a client sends, and hangs up after an idle hour. Shows: seeds, faults, time that
// jumps, and checks that need no test framework. What fails names its seed; that seed fails every time.
#include <weir/simulation.hpp>

#include <array>
#include <cstdint>
#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

// --- the service, as it would be in a header of its own

Task<> adder(Scheduler&, weir::UnixStream peer) {
    std::uint32_t sum = 0;
    for (;;) {
        std::uint32_t number = 0;
        const auto got = co_await peer.read_exactly(weir::writable_bytes_of(number)).within(1h);
        if (!got && got.error() == weir::Errc::ended && got.error().a == 0) co_return;  // between two numbers
        if (!got && got.error() == weir::Errc::timed_out) co_return;
        WEIR_CO_CHECK(got);
        sum += number;
        WEIR_CO_CHECK(peer.write_all(weir::bytes_of(sum)).within(1s));
    }
}

// --- its test

struct Seen {
    std::uint32_t sum = 0;
    bool hung_up = false;
    weir::Duration idle{};
};
Task<> client(Scheduler& scheduler, weir::UnixStream server, Seen& seen) {
    for (std::uint32_t number = 1; number <= 10; ++number) {
        WEIR_CO_CHECK(server.write_all(weir::bytes_of(number)));
        WEIR_CO_CHECK(server.read_exactly(weir::writable_bytes_of(seen.sum)));
    }
    const weir::Instant before = scheduler.now();
    std::array<std::byte, 1> nothing;
    WEIR_CO_TRY(const auto end, server.read(nothing));  // an hour passes, in no time
    seen.hung_up = end.empty();
    seen.idle = scheduler.now() - before;
}
Task<> conversation(Scheduler& scheduler, Seen& seen) {
    WEIR_CO_TRY(auto ends, weir::UnixStream::pair());
    WEIR_CO_CHECK(weir::all_of(adder(scheduler, std::move(ends.first)),
                               client(scheduler, std::move(ends.second), seen)));
}

bool run(std::uint64_t seed) {
    weir::StaticScheduler<weir::small_budget> scheduler;
    // Every other transfer is cut short; one call in four is interrupted.
    const weir::SimulationOptions luck{.seed = seed, .short_transfer = 128, .interrupted = 64};
    const auto started = scheduler.start({.backend = weir::BackendChoice::simulated, .simulation = luck});
    if (!started) return false;
    Seen seen;
    const auto outcome = scheduler.run(conversation(scheduler, seen));
    return outcome && seen.sum == 55 && seen.hung_up && seen.idle >= 1h && seen.idle < 1h + 1min;
}

int main() {
    constexpr std::uint64_t seeds = 1'000;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        if (run(seed)) continue;
        std::printf("seed %llu fails\n", static_cast<unsigned long long>(seed));
        return 1;
    }
    std::printf("%llu seeds passed\n", static_cast<unsigned long long>(seeds));
}
