// SPDX-License-Identifier: MIT
#include <weir/io/eventfd.hpp>

#include "running.hpp"

#include <limits>

#include <sys/eventfd.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

constexpr std::uint64_t count_max = std::numeric_limits<std::uint64_t>::max() - 1;

Task<> counts(Scheduler&) {
    WEIR_CO_TRY(EventFd event, EventFd::create(EventFdMode::counter, 5));
    WEIR_CO_CHECK(event.write(7));
    WEIR_CO_TRY(const auto all, event.read());
    CHECK_IN_TASK(all == 12);
    const auto nothing = co_await event.read().within(200us);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
    WEIR_CO_CHECK(event.post(3));
    WEIR_CO_CHECK(event.post());
    WEIR_CO_TRY(const auto posted, event.read());
    CHECK_IN_TASK(posted == 4);
}
TEST_CASE("a counter's read takes the whole count and waits for one") {
    on_each_seed(counts);
}

Task<> takes_one_by_one(Scheduler&) {
    WEIR_CO_TRY(EventFd event, EventFd::create(EventFdMode::semaphore, 1));
    WEIR_CO_CHECK(event.write(2));
    for (int i = 0; i < 3; ++i) {
        WEIR_CO_TRY(const auto one, event.read());
        CHECK_IN_TASK(one == 1);
    }
    const auto nothing = co_await event.read().within(200us);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
}
TEST_CASE("a semaphore's read takes one and waits for one") {
    on_each_seed(takes_one_by_one);
}

Task<> reads_later(Scheduler&, EventFd& event, std::uint64_t& got) {
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_TRY(got, event.read());
}
Task<> writes_past_full(Scheduler&, EventFd& event, std::uint64_t count, bool& written) {
    WEIR_CO_CHECK(event.write(count));
    written = true;
}
Task<> overflow_waits(Scheduler& scheduler, std::uint64_t room) {
    WEIR_CO_TRY(EventFd event, EventFd::create());
    WEIR_CO_CHECK(event.write(count_max - room));
    const auto full = event.post(room + 1);
    CHECK_IN_TASK(code_of(full) == Errc::would_block);
    const auto waited = co_await event.write(room + 1).within(300us);
    CHECK_IN_TASK(code_of(waited) == Errc::timed_out);
    std::uint64_t got = 0;
    bool written = false;
    WEIR_CO_CHECK(
        all_of(writes_past_full(scheduler, event, room + 1, written), reads_later(scheduler, event, got)));
    CHECK_IN_TASK(written);
    CHECK_IN_TASK(got == count_max - room);
    WEIR_CO_TRY(const auto rest, event.read());
    CHECK_IN_TASK(rest == room + 1);
    const auto senseless = co_await event.write(std::numeric_limits<std::uint64_t>::max());
    CHECK_IN_TASK(code_of(senseless) == Errc::invalid);
}
TEST_CASE("a write that would overflow waits until it fits, into a full count") {
    on_each_seed([](Scheduler& scheduler) { return overflow_waits(scheduler, 0); });
}
TEST_CASE("a write that would overflow waits until it fits, into a count that is nearly full") {
    on_each_seed([](Scheduler& scheduler) { return overflow_waits(scheduler, 5); });
}

// Counts that come around the deadlines of reads: each is taken by exactly one of them.
constexpr std::uint64_t posts = 2'000;

Task<> posts_at_random(Scheduler&, EventFd& event, std::uint32_t random) {
    for (std::uint64_t i = 0; i < posts; ++i) {
        random = random * 1'664'525U + 1'013'904'223U;
        WEIR_CO_CHECK(sleep_for(std::chrono::microseconds((random >> 8) % 20)));
        WEIR_CO_CHECK(event.post());
    }
}
Task<> takes_at_random(Scheduler&, EventFd& event, std::uint32_t random, std::uint64_t& taken,
                       int& time_outs) {
    while (taken < posts) {
        random = random * 1'664'525U + 1'013'904'223U;
        const auto got = co_await event.read().within(std::chrono::microseconds((random >> 8) % 21));
        if (got) {
            taken += *got;
        } else {
            if (got.error() != Errc::timed_out) co_return co_await fail(got.error());
            ++time_outs;
        }
    }
}
TEST_CASE("no count is lost to a read whose deadline passes as it comes") {
    for (const EventFdMode mode : {EventFdMode::counter, EventFdMode::semaphore}) {
        int time_outs = 0;
        for_each_seed([&](std::uint64_t seed) {
            Running running(seed);
            auto event = EventFd::create(mode);
            REQUIRE(event.has_value());
            std::uint64_t taken = 0;
            running.must_run([](Scheduler& scheduler, EventFd& both, std::uint32_t random,
                                std::uint64_t& count, int& late) -> Task<> {
                WEIR_CO_CHECK(all_of(posts_at_random(scheduler, both, random),
                                     takes_at_random(scheduler, both, random + 1, count, late)));
            }(*running, *event, static_cast<std::uint32_t>(seed), taken, time_outs));
            CHECK(taken == posts);
        });
        if (repeats(100) >= 100) CHECK(time_outs > 0);  // a slow machine may meet none
    }
}

TEST_CASE("adopting takes eventfds of either mode and nothing else") {
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    CHECK(code_of(EventFd::adopt(pipe[0])) == Errc::wrong_kind);
    CHECK(code_of(EventFd::adopt(-1)) == Errc::closed);
    Running running;
    auto event = EventFd::adopt(::eventfd(3, EFD_SEMAPHORE));
    REQUIRE(event.has_value());
    running.must_run([](Scheduler&, EventFd& adopted) -> Task<> {
        WEIR_CO_TRY(const auto one, adopted.read());
        CHECK_IN_TASK(one == 1);
    }(*running, *event));
    const Fd released(event->release());
    std::uint64_t one = 0;
    CHECK(::read(released.get(), &one, sizeof(one)) == sizeof(one));
    ::close(pipe[0]);
    ::close(pipe[1]);
}

}  // namespace
