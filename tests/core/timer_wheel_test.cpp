// SPDX-License-Identifier: MIT
#include <weir/core/timer_wheel.hpp>

#include "support/catch.hpp"
#include "support/run.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <vector>

using namespace std::chrono_literals;
using weir::Duration;
using weir::Instant;
using weir::instant_of_ns;
using weir::TimerWheel;
using weir::to_ns;

namespace {

/// What has fired, in order.
std::vector<struct Alarm*> fired;

struct Alarm : weir::Timer {
    Alarm() noexcept
        : Timer([](weir::Timer& timer) noexcept { fired.push_back(static_cast<Alarm*>(&timer)); }) {}
};

/// A wheel with its memory, and time.
class Wheel {
public:
    Wheel(std::size_t slots, Instant now) : storage_(TimerWheel::storage_size(slots) / 8 + 1) {
        wheel.start(std::as_writable_bytes(std::span(storage_)), slots, now);
        fired.clear();
    }
    TimerWheel wheel;

private:
    std::vector<std::uint64_t> storage_;
};

constexpr std::size_t all = ~std::size_t{0};

Duration random_span(std::mt19937_64& random) {
    static constexpr Duration reaches[] = {2ms, 100ms, 10s, 3h, 24h * 20, 24h * 400, 24h * 36'500};
    const Duration reach = reaches[random() % std::size(reaches)];
    return Duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(reach.count())));
}

/// The same timers in a sorted set.
class Model {
public:
    explicit Model(std::size_t slots, std::uint64_t seed)
        : random_(seed),
          now_(instant_of_ns(1 + static_cast<std::int64_t>(random_() % 1'000'000'000'000))),
          of_(slots, now_),
          alarms_(new Alarm[count]) {}
    ~Model() {
        for (std::size_t i = 0; i < count; ++i) of_.wheel.disarm(alarms_[i]);
    }

    void step() {
        Alarm& alarm = alarms_[static_cast<std::size_t>(random_() % count)];
        switch (random_() % 8) {
            case 0: advance(); break;
            case 1:
            case 2: disarm(alarm); break;
            default: arm(alarm);
        }
        check_next();
    }
    void run_out() {
        while (!armed_.empty()) {
            now_ = std::max(now_, of_.wheel.next());
            fire(all);
            check_next();
        }
        REQUIRE(of_.wheel.next() == weir::never);
        REQUIRE(of_.wheel.count() == 0);
    }

private:
    void arm(Alarm& alarm) {
        if (alarm.armed()) return disarm(alarm);
        const bool past = random_() % 16 == 0;
        const Instant at = past ? now_ - std::min(random_span(random_), now_.time_since_epoch())
                                : now_ + random_span(random_);
        const Duration slack = random_() % 3 == 0 ? random_span(random_) : 0ns;
        of_.wheel.arm(alarm, at, slack);
        REQUIRE(alarm.armed());
        REQUIRE(alarm.at() >= at);
        REQUIRE(alarm.at() <= weir::after(at, slack));
        armed_.insert({to_ns(alarm.at()), &alarm});
    }
    void disarm(Alarm& alarm) {
        armed_.erase({to_ns(alarm.at()), &alarm});
        of_.wheel.disarm(alarm);
        REQUIRE(!alarm.armed());
    }
    void advance() {
        // Not by centuries: the model's own sums would overflow.
        now_ += std::min<Duration>(random_span(random_), random_() % 64 == 0 ? 24h * 400 : 30s);
        fire(random_() % 4 == 0 ? random_() % 4 : all);
    }
    void fire(std::size_t count_max) {
        fired.clear();
        const std::size_t counted = of_.wheel.fire_due(now_, count_max);
        REQUIRE(counted == fired.size());
        REQUIRE(counted <= count_max);
        std::int64_t last = 0;
        for (Alarm* alarm : fired) {
            REQUIRE(!alarm->armed());
            REQUIRE(alarm->at() <= now_);
            REQUIRE(to_ns(alarm->at()) >= last);  // in order of time
            last = to_ns(alarm->at());
            REQUIRE(armed_.erase({last, alarm}) == 1);
        }
        const bool due_left = !armed_.empty() && armed_.begin()->first <= to_ns(now_);
        if (due_left) REQUIRE(counted == count_max);
        if (!due_left) REQUIRE(of_.wheel.next() > now_);  // nobody wakes for nothing
    }
    void check_next() const {
        REQUIRE(of_.wheel.count() == armed_.size());
        const Instant next = of_.wheel.next();
        if (armed_.empty()) {
            REQUIRE(next == weir::never);
            return;
        }
        REQUIRE(to_ns(next) <= armed_.begin()->first);
        if (armed_.size() <= 8) REQUIRE(to_ns(next) == armed_.begin()->first);
    }

    static constexpr std::size_t count = 60;
    std::mt19937_64 random_;
    Instant now_;
    Wheel of_;
    std::unique_ptr<Alarm[]> alarms_;
    std::set<std::pair<std::int64_t, Alarm*>> armed_;
};

}  // namespace

TEST_CASE(
    "a wheel of any size fires every timer in order, never early, whatever is armed and disarmed meanwhile") {
    weir::test::for_each_seed([](std::uint64_t seed) {
        for (const std::size_t slots : {16U, 32U, 64U, 256U, 1'024U, 65'536U}) {
            INFO("slots " << slots);
            Model model(slots, seed);
            for (int i = 0; i < 2'000; ++i) model.step();
            model.run_out();
        }
    });
}

TEST_CASE("timers fire to the nanosecond") {
    Wheel of(16, instant_of_ns(0));
    Alarm alarms[3];
    of.wheel.arm(alarms[0], instant_of_ns(5'000'000));
    of.wheel.arm(alarms[1], instant_of_ns(5'000'001));
    of.wheel.arm(alarms[2], instant_of_ns(4'999'999));
    CHECK(of.wheel.fire_due(instant_of_ns(4'999'998), all) == 0);
    CHECK(of.wheel.fire_due(instant_of_ns(4'999'999), all) == 1);
    CHECK(of.wheel.fire_due(instant_of_ns(5'000'000), all) == 1);
    CHECK(of.wheel.next() == instant_of_ns(5'000'001));
    CHECK(of.wheel.fire_due(instant_of_ns(5'000'001), all) == 1);
    CHECK(fired == std::vector<Alarm*>{&alarms[2], &alarms[0], &alarms[1]});
}

TEST_CASE("a timer beyond the highest level waits in the overflow list and fires in its time") {
    for (const std::size_t slots : {16U, 64U, 65'536U}) {
        INFO("slots " << slots);
        Wheel of(slots, instant_of_ns(1));
        Alarm alarms[20];
        Instant at = instant_of_ns(1) + 24h * 365;
        for (Alarm& alarm : alarms) of.wheel.arm(alarm, at += 24h * 7);
        Alarm endless;
        of.wheel.arm(endless, weir::never);
        Instant now = instant_of_ns(1);
        std::size_t total = 0;
        for (int looks = 0; total < 20; ++looks) {
            REQUIRE(looks < 1'000);  // it may look in between, but not for ever
            now = of.wheel.next();
            total += of.wheel.fire_due(now, all);
        }
        CHECK(std::equal(fired.begin(), fired.end(), std::begin(alarms),
                         [](Alarm* left, Alarm& right) { return left == &right; }));
        CHECK(now == at);
        of.wheel.disarm(endless);
    }
}

TEST_CASE("time may jump over everything at once") {
    for (const std::size_t slots : {16U, 65'536U}) {
        Wheel of(slots, instant_of_ns(0));
        Alarm alarms[7];
        Duration span = 1us;
        for (Alarm& alarm : alarms) {
            of.wheel.arm(alarm, instant_of_ns(0) + span);
            span = std::min<Duration>(span * 100, 24h * 3'000);
        }
        CHECK(of.wheel.fire_due(instant_of_ns(0) + 24h * 30'000, all) == 7);
        CHECK(std::is_sorted(fired.begin(), fired.end()));
    }
}

TEST_CASE("fire_due fires no more than it is allowed to and the rest is due at once") {
    Wheel of(16, instant_of_ns(0));
    Alarm alarms[10];
    for (Alarm& alarm : alarms) of.wheel.arm(alarm, instant_of_ns(100));
    CHECK(of.wheel.fire_due(instant_of_ns(200), 4) == 4);
    CHECK(of.wheel.next() == instant_of_ns(100));
    CHECK(of.wheel.fire_due(instant_of_ns(200), 4) == 4);
    CHECK(of.wheel.fire_due(instant_of_ns(200), 4) == 2);
    CHECK(of.wheel.next() == weir::never);
}

TEST_CASE("slack chooses the roundest instant of its window") {
    std::mt19937_64 random(11);
    Wheel of(64, instant_of_ns(0));
    for (int i = 0; i < 10'000; ++i) {
        Alarm alarm;
        const auto at = static_cast<std::int64_t>(1 + random() % 1'000'000'000'000);
        const auto slack = static_cast<std::int64_t>(random() % 10'000'000'000);
        of.wheel.arm(alarm, instant_of_ns(at), Duration(slack));
        const std::int64_t chosen = to_ns(alarm.at());
        const std::int64_t rounder = 2 * (chosen & -chosen);
        REQUIRE(chosen >= at);
        REQUIRE(chosen <= at + slack);
        REQUIRE((at + rounder - 1) / rounder * rounder > at + slack);
        of.wheel.disarm(alarm);
    }
}

TEST_CASE("timers whose windows share a round instant fire together") {
    Wheel of(16, instant_of_ns(1));
    Alarm alarms[50];
    for (int i = 0; i < 50; ++i) of.wheel.arm(alarms[i], instant_of_ns(1'000'000'000 + i * 1'000'000), 100ms);
    std::set<Instant> instants;
    for (const Alarm& alarm : alarms) instants.insert(alarm.at());
    CHECK(instants.size() == 1);
    CHECK(of.wheel.fire_due(*instants.begin(), all) == 50);
}

TEST_CASE("a timer before time zero is due at once, with and without slack") {
    Wheel of(16, instant_of_ns(1'000));
    Alarm alarms[4];
    of.wheel.arm(alarms[0], instant_of_ns(-5));
    of.wheel.arm(alarms[1], instant_of_ns(-5), 1ns);
    of.wheel.arm(alarms[2], Instant::min(), 1ns);
    of.wheel.arm(alarms[3], instant_of_ns(0), 100ns);
    CHECK(of.wheel.next() <= instant_of_ns(1'000));
    CHECK(of.wheel.fire_due(instant_of_ns(1'000), all) == 4);
}

TEST_CASE("a timer fired may be armed again from its own call") {
    struct Again : weir::Timer {
        Again(TimerWheel& wheel_of, int left_of)
            : Timer([](weir::Timer& timer) noexcept {
                  auto& self = static_cast<Again&>(timer);
                  if (self.left-- > 0) self.wheel.arm(self, self.at() + 10ms);
              }),
              wheel(wheel_of),
              left(left_of) {}
        TimerWheel& wheel;
        int left;
    };
    Wheel of(32, instant_of_ns(0));
    Again again(of.wheel, 5);
    of.wheel.arm(again, instant_of_ns(10'000'000));
    auto fires = of.wheel.fire_due(instant_of_ns(35'000'000), all);
    CHECK(fires == 3);  // at 10, 20 and 30 ms: what its own call arms and is due fires too
    Instant now{};
    while (of.wheel.count() > 0) {
        now = of.wheel.next();
        fires += of.wheel.fire_due(now, all);
    }
    CHECK(fires == 6);
    CHECK(now == instant_of_ns(60'000'000));
}

TEST_CASE("a wheel finds the earliest of many timers by its bucket, wherever in its round time stands") {
    constexpr std::int64_t tick_ns = std::int64_t{1} << TimerWheel::tick_shift;
    for (const std::int64_t slots : {16, 64, 1'024, 65'536}) {
        INFO("slots " << slots);
        const Instant now = instant_of_ns((slots - 3) * tick_ns);  // the round ends within the span
        Wheel of(static_cast<std::size_t>(slots), now);
        Alarm alarms[15];
        Duration span = Duration(5 * tick_ns);
        for (Alarm& alarm : alarms) of.wheel.arm(alarm, now + (span += Duration(tick_ns / 2)));
        for (const Alarm& alarm : alarms) {
            REQUIRE(of.wheel.next() == alarm.at());
            REQUIRE(of.wheel.fire_due(alarm.at(), all) == 1);
        }
    }
}

TEST_CASE("timers too many for the cache fire in order too, while others are armed and disarmed") {
    constexpr std::size_t count = 10'000;
    for (const std::size_t slots : {16U, 256U, 65'536U}) {
        INFO("slots " << slots);
        std::mt19937_64 random(slots);
        const auto random_ms = [&](std::uint64_t below) {
            return Duration(1'000 * static_cast<std::int64_t>(random() % (below * 1'000)));
        };
        Instant now = instant_of_ns(1);
        Wheel of(slots, now);
        const std::unique_ptr<Alarm[]> alarms(new Alarm[count]);
        for (std::size_t i = 0; i < count; ++i) of.wheel.arm(alarms[i], now + random_ms(5'000));
        std::size_t total = 0;
        for (int turn = 0; turn < 3'000; ++turn) {
            fired.clear();
            const Instant before = now;
            now += random_ms(4);
            total += of.wheel.fire_due(now, all);
            const auto earlier = [](const Alarm* left, const Alarm* right) {
                return left->at() < right->at();
            };
            REQUIRE(std::is_sorted(fired.begin(), fired.end(), earlier));
            for (Alarm* const alarm : fired) {
                REQUIRE(alarm->at() > before);
                REQUIRE(alarm->at() <= now);
                of.wheel.arm(*alarm, now + 1ns + random_ms(5'000));
            }
            Alarm& other = alarms[static_cast<std::size_t>(random() % count)];
            of.wheel.disarm(other);
            of.wheel.arm(other, now + 1ns + random_ms(5'000));
        }
        CHECK(total > count);
        CHECK(of.wheel.count() == count);
        for (std::size_t i = 0; i < count; ++i) of.wheel.disarm(alarms[i]);
    }
}
