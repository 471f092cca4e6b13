// SPDX-License-Identifier: MIT
#include <weir/weir.hpp>

#include "support/skip.hpp"

#include "program.hpp"

#include <array>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

using namespace std::chrono_literals;
using weir::Scheduler;
using weir::Task;
using weir::test::check_idle;
using weir::test::make_scheduler;
using weir::test::said;

namespace {

/// What a foreign event loop does, with one descriptor of its own beside weir's.
template <class T>
weir::Result<T> drive(Scheduler& scheduler, Scheduler::Root<T>& root, int& polls) {
    for (;;) {
        const auto lives = scheduler.run_ready();
        if (!lives) return weir::failure(lives.error());
        if (!*lives) break;
        pollfd watched{scheduler.poll_fd(), POLLIN, 0};
        const weir::Instant until = scheduler.next_deadline();
        int timeout_ms = -1;
        if (until != weir::never) {
            const auto left =
                std::chrono::ceil<std::chrono::milliseconds>(until - weir::MonotonicClock::now());
            timeout_ms = left.count() > 0 ? static_cast<int>(left.count()) : 0;
        }
        ++polls;
        ::poll(&watched, 1, timeout_ms);
    }
    return *root.take();
}

Task<int> reads(Scheduler&, weir::PipeReader reader) {
    int sum = 0;
    for (;;) {
        std::byte byte{};
        WEIR_CO_TRY(const auto bytes, reader.read({&byte, 1}));
        if (bytes.empty()) co_return sum;
        sum += static_cast<int>(byte);
    }
}
Task<> writes(Scheduler&, weir::PipeWriter writer) {
    for (int i = 1; i <= 20; ++i) {
        const std::byte byte{static_cast<unsigned char>(i)};
        WEIR_CO_CHECK(writer.write_all({&byte, 1}));
        WEIR_CO_CHECK(weir::sleep_for(i % 4 * 1ms));
    }
}
Task<int> talks(Scheduler& scheduler) {
    WEIR_CO_TRY(auto pipe, weir::Pipe::create());
    WEIR_CO_TRY(auto both, weir::all_of(reads(scheduler, std::move(pipe.reader)),
                                        writes(scheduler, std::move(pipe.writer))));
    co_return std::get<0>(both);
}

}  // namespace

TEST_CASE("a foreign loop drives a scheduler by its descriptor and its deadlines") {
    if (weir::test::on_simulated()) weir::test::skip("simulated time has no descriptor to wait on");
    const auto scheduler = make_scheduler();
    REQUIRE(scheduler->poll_fd() >= 0);
    for (int i = 0; i < 3; ++i) {
        Scheduler::Root<int> root;
        REQUIRE(scheduler->begin(talks(*scheduler), root));
        CHECK(!root.take().has_value());
        int polls = 0;
        const auto sum = drive(*scheduler, root, polls);
        REQUIRE(sum);
        CHECK(*sum == 210);
        CHECK(polls > 5);
        check_idle(*scheduler);
    }
}

TEST_CASE("a foreign loop gets the result when run_ready says so, however the turns fall, and never before") {
    const auto scheduler = make_scheduler();
    const auto yields = [](Scheduler&, int count) -> Task<> {
        while (count-- > 0) WEIR_CO_CHECK(weir::yield());
    };
    // One of these ends with the last item of run_ready's last turn.
    const weir::Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    int went_on = 0;
    for (int count = 1'000; count < 1'050; ++count) {
        Scheduler::Root<void> root;
        REQUIRE(scheduler->begin(yields(*scheduler, count), root));
        for (;;) {
            const auto lives = scheduler->run_ready();
            REQUIRE(lives);
            if (!*lives) break;
            const auto early = root.take();
            CHECK(!early.has_value());
            if (early) break;
            ++went_on;
            scheduler->dump(null.get());
        }
        const auto outcome = root.take();
        CHECK(outcome.has_value());
        check_idle(*scheduler);
    }
    CHECK(went_on > 0);
}

TEST_CASE("a pipe that another program writes wakes a foreign loop") {
    if (weir::test::on_simulated()) weir::test::skip("simulated time has no descriptor to wait on");
    const auto scheduler = make_scheduler();
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    auto adopted = weir::PipeReader::adopt(ends[0]);
    REQUIRE(adopted);
    Scheduler::Root<int> root;
    REQUIRE(scheduler->begin(reads(*scheduler, std::move(*adopted)), root));
    const auto first = scheduler->run_ready();
    REQUIRE(first);
    CHECK(*first);
    CHECK(scheduler->next_deadline() == weir::never);
    pollfd watched{scheduler->poll_fd(), POLLIN, 0};
    CHECK(::poll(&watched, 1, 0) == 0);
    CHECK(::write(ends[1], "\x05", 1) == 1);
    CHECK(::poll(&watched, 1, -1) == 1);
    CHECK(scheduler->run_ready().value_or(false));
    ::close(ends[1]);
    int polls = 0;
    const auto sum = drive(*scheduler, root, polls);
    REQUIRE(sum);
    CHECK(*sum == 5);
    check_idle(*scheduler);
}

TEST_CASE("a foreign loop is woken for each part of a transfer that waits several times") {
    if (weir::test::on_simulated()) weir::test::skip("simulated time has no descriptor to wait on");
    const auto scheduler = make_scheduler();
    auto pipe = weir::Pipe::create();
    REQUIRE(pipe);
    const auto writes_much = [](Scheduler&, weir::PipeWriter writer) -> Task<> {
        static constexpr std::array<std::byte, 512 * 1024> much{};
        WEIR_CO_CHECK(writer.write_all(much));
    };
    Scheduler::Root<void> root;
    REQUIRE(scheduler->begin(writes_much(*scheduler, std::move(pipe->writer)), root));
    static std::array<std::byte, 16 * 1024> taken;
    std::size_t taken_size = 0;
    while (scheduler->run_ready().value_or(false)) {
        pollfd watched{scheduler->poll_fd(), POLLIN, 0};
        const bool may_wait = scheduler->next_deadline() == weir::never;
        while (may_wait && ::poll(&watched, 1, 0) == 0) {
            const auto size = ::read(pipe->reader.fd(), taken.data(), taken.size());
            REQUIRE(size > 0);  // else nothing would ever wake the loop
            taken_size += static_cast<std::size_t>(size);
        }
    }
    CHECK(said(*root.take()) == "value");
    CHECK(taken_size >= 256 * 1024);
    check_idle(*scheduler);
}

TEST_CASE("a stop from a foreign loop reaches an operation that waits in the kernel") {
    if (weir::test::on_simulated()) weir::test::skip("simulated time has no descriptor to wait on");
    const auto scheduler = make_scheduler();
    auto pipe = weir::Pipe::create();
    REQUIRE(pipe);
    Scheduler::Root<int> root;
    REQUIRE(scheduler->begin(reads(*scheduler, std::move(pipe->reader)), root));
    CHECK(scheduler->run_ready().value_or(false));
    CHECK(scheduler->next_deadline() == weir::never);
    scheduler->request_stop();
    // Nobody writes, so nothing else would bring the loop back.
    CHECK(scheduler->next_deadline() <= scheduler->now());
    while (scheduler->run_ready().value_or(false)) {}
    CHECK(said(*root.take()) == "cancelled");
    check_idle(*scheduler);
}

TEST_CASE("a task that always yields lets a foreign loop have its turns") {
    const auto scheduler = make_scheduler();
    const auto spins = [](Scheduler&, const bool& enough) -> Task<> {
        while (!enough) WEIR_CO_CHECK(weir::yield());
    };
    bool enough = false;
    Scheduler::Root<void> root;
    REQUIRE(scheduler->begin(spins(*scheduler, enough), root));
    CHECK(scheduler->run_ready().value_or(false));
    CHECK(scheduler->next_deadline() <= scheduler->now());
    enough = true;
    while (scheduler->run_ready().value_or(false)) {}
    CHECK(said(*root.take()) == "value");
    CHECK(!scheduler->run_ready().value_or(true));  // nothing left to do
    check_idle(*scheduler);
}

TEST_CASE("a stop reaches a program driven by a foreign loop") {
    const auto scheduler = make_scheduler();
    const auto sleeps = [](Scheduler&) -> Task<> { WEIR_CO_CHECK(weir::sleep_for(1h)); };
    Scheduler::Root<void> root;
    REQUIRE(scheduler->begin(sleeps(*scheduler), root));
    CHECK(scheduler->run_ready().value_or(false));
    CHECK(scheduler->next_deadline() > scheduler->now());
    scheduler->request_stop();
    CHECK(scheduler->next_deadline() <= scheduler->now());
    while (scheduler->run_ready().value_or(false)) {}
    CHECK(said(*root.take()) == "cancelled");
    check_idle(*scheduler);
}
