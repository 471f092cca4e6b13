// SPDX-License-Identifier: MIT
#include "wall_clock.hpp"

#include "catch.hpp"
#include "child.hpp"
#include "heap_guard.hpp"
#include "io/running.hpp"

#include <chrono>
#include <cstdlib>

#include <csignal>
#include <sys/time.h>
#include <time.h>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;

std::int64_t by_time() {
    return std::int64_t{::time(nullptr)};
}
std::int64_t by_gettimeofday() {
    timeval now{};
    ::gettimeofday(&now, nullptr);
    return std::int64_t{now.tv_sec};
}
std::int64_t by_clock_gettime() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec};
}
std::int64_t by_timespec_get() {
    timespec now{};
    return ::timespec_get(&now, TIME_UTC) == TIME_UTC ? std::int64_t{now.tv_sec} : 0;
}
std::int64_t by_chrono() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

}  // namespace

TEST_CASE("the wall clock jumps by hours, both ways, however it is read") {
    const JumpingWallClock jumping;
    for (const auto read : {by_time, by_gettimeofday, by_clock_gettime, by_timespec_get, by_chrono}) {
        const std::uint64_t before = wall_clock_readings();
        const std::int64_t first = read();
        // A library that has 32-bit time asks by another name, on 32-bit machines.
        if (wall_clock_readings() == before && sizeof(long) == 4) continue;
        std::int64_t last = first;
        int ahead = 0;
        int back = 0;
        for (int i = 0; i < 6; ++i) {
            const std::int64_t now = read();
            CHECK(std::abs(now - last) > 2 * 3'600 - 60);
            ++(now > last ? ahead : back);
            last = now;
        }
        CHECK((ahead == 3 && back == 3));
    }
}

TEST_CASE("the monotonic clock goes on as ever meanwhile") {
    const JumpingWallClock jumping;
    const auto first = MonotonicClock::now();
    std::ignore = ::time(nullptr);
    const auto second = MonotonicClock::now();
    CHECK((second >= first && second - first < 1h));
}

TEST_CASE("whoever reads the wall clock inside weir ends the program") {
    for (const auto read : {by_time, by_gettimeofday, by_clock_gettime, by_timespec_get}) {
        const auto end = run_in_child([&] {
            Running running;
            std::ignore = running->run([](Scheduler&, std::int64_t (*reads)()) -> Task<> {
                WEIR_CO_CHECK(sleep_for(1ms));
                std::ignore = reads();
            }(*running, read));
            return 0;
        });
        CHECK(end.signal == SIGABRT);
        CHECK(end.errors.rfind("wall clock: read inside weir\n", 0) == 0);
    }
}
