// SPDX-License-Identifier: MIT
#include <weir/weir.hpp>

#include "support/skip.hpp"

#include "program.hpp"

#include <csignal>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using weir::Errc;
using weir::Scheduler;
using weir::Task;
using weir::test::check_idle;
using weir::test::make_scheduler;
using weir::test::options_of_this_run;
using weir::test::said;

namespace {

Task<int> answer(Scheduler&, int number) {
    WEIR_CO_CHECK(weir::sleep_for(1ms));
    co_return number;
}
Task<> fails(Scheduler&) {
    WEIR_CO_CHECK(weir::yield());
    co_return co_await weir::fail(Errc::denied, "root", 1, 2);
}
Task<> writes(Scheduler&, weir::PipeWriter writer, int count) {
    for (int i = 0; i < count; ++i) WEIR_CO_CHECK(writer.write_all(weir::bytes_of(i)));
}
Task<int> reads(Scheduler&, weir::PipeReader reader) {
    int sum = 0;
    for (;;) {
        int number = 0;
        const auto got = co_await reader.read_exactly(weir::writable_bytes_of(number));
        if (!got && got.error() == Errc::ended) co_return sum;
        WEIR_CO_CHECK(got);
        sum += number;
    }
}
Task<int> talks(Scheduler& scheduler, int count) {
    WEIR_CO_TRY(auto pipe, weir::Pipe::create());
    WEIR_CO_TRY(auto both, weir::all_of(writes(scheduler, std::move(pipe.writer), count),
                                        reads(scheduler, std::move(pipe.reader))));
    co_return std::get<1>(both);
}

std::size_t peak_of(const weir::Usage& usage) {
    std::size_t peak = 0;
    for (const auto& one : usage.classes) peak += one.peak;
    return peak;
}

}  // namespace

TEST_CASE("run gives the root task's value or its error, as often as it is called") {
    const auto scheduler = make_scheduler();
    for (int i = 0; i < 3; ++i) {
        const auto number = scheduler->run(answer(*scheduler, i));
        REQUIRE(number);
        CHECK(*number == i);
        const auto failed = scheduler->run(fails(*scheduler));
        REQUIRE(!failed);
        CHECK(failed.error() == Errc::denied);
        CHECK(std::string(failed.error().operation) == "root");
        CHECK(failed.error().b == 2);
        check_idle(*scheduler);
    }
    CHECK(scheduler->usage().tasks_started == 6);
}

TEST_CASE("tasks talk through a pipe and usage returns to nothing, while peaks stay") {
    weir::test::for_each_seed([](std::uint64_t seed) {
        const auto scheduler = make_scheduler(options_of_this_run(seed));
        const auto sum = scheduler->run(talks(*scheduler, 200));
        REQUIRE(sum);
        CHECK(*sum == 200 * 199 / 2);
        check_idle(*scheduler);
        const auto usage = scheduler->usage();
        CHECK(usage.descriptors_peak >= 1);
        CHECK(usage.descriptors_peak <= 2);
        CHECK(usage.descriptors_max == weir::test::test_budget.descriptors);
        CHECK(peak_of(usage) == 3);
        CHECK(usage.frame_bytes <= usage.frame_bytes_max);
        CHECK(scheduler->run(talks(*scheduler, 200)).has_value());
        CHECK(scheduler->usage().frame_bytes == usage.frame_bytes);  // a second run takes no more
    });
}

TEST_CASE("a root task without a frame is an error of run") {
    const auto scheduler = make_scheduler();
    scheduler->frames.refuse_in(1);
    const auto refused = scheduler->run(answer(*scheduler, 1));
    REQUIRE(!refused);
    CHECK(refused.error() == Errc::no_frame);
    CHECK(refused.error().a > 0);
    CHECK(refused.error().b == scheduler->budget().frame_bytes);
    CHECK(said(scheduler->run(answer(*scheduler, 1))) == "value");
}

namespace {

struct alignas(16) FrameStorage {
    std::byte bytes[16];
};
constexpr weir::Budget divided{.frame_bytes = 4'096, .frame_classes = {{{256, 4}, {512, 6}}}};
constexpr weir::Budget too_much{.frame_bytes = 4'096, .frame_classes = {{{256, 4}, {512, 7}}}};

Task<> small_root(Scheduler&) {
    co_return;
}

}  // namespace

TEST_CASE("an arena is divided in advance by exact counts") {
    const auto scheduler = make_scheduler<divided>();
    const auto usage = scheduler->usage();
    CHECK(usage.frame_bytes == 4'096);
    CHECK(usage.classes[weir::FramePool::class_of(512)].blocks == 6);
    CHECK(usage.frames == 0);
}

TEST_CASE("classes that do not fit are an error whenever the scheduler is started or run") {
    weir::StaticScheduler<too_much> scheduler;
    for (int i = 0; i < 2; ++i) {
        const auto started = scheduler.start(options_of_this_run());
        REQUIRE(!started);
        CHECK(started.error() == Errc::no_frame);
        CHECK(started.error().a == 4 * 256 + 7 * 512);
        CHECK(started.error().b == 4'096);
        char line[128];
        CHECK(started.error().message(line).find("Budget::frame_classes") != std::string_view::npos);
    }
    const auto ran = scheduler.run(small_root(scheduler));
    REQUIRE(!ran);
    CHECK(ran.error() == Errc::no_frame);
    CHECK(ran.error().b == 4'096);
    {}
}

TEST_CASE("timer slots that are no power of two are an error, where the budget is known only at run time") {
    const weir::Budget budget{.frame_bytes = 1'024, .descriptors = 4, .timer_slots = 20};
    const auto storage = std::make_unique<FrameStorage[]>(weir::storage_layout(budget).size / 16 + 1);
    Scheduler scheduler(budget, storage[0].bytes);
    const auto started = scheduler.start(options_of_this_run());
    REQUIRE(!started);
    CHECK(started.error() == Errc::invalid);
    char line[128];
    CHECK(started.error().message(line).find("Budget::timer_slots") != std::string_view::npos);
}

namespace {

Task<> waits_for_ever(Scheduler&, std::string& ended) {
    const auto slept = co_await weir::sleep_until(weir::never);
    ended = said(slept);
    WEIR_CO_CHECK(slept);
}
Task<> stops(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::sleep_for(1ms));
    scheduler.request_stop();
}

}  // namespace

TEST_CASE("a stop of the scheduler reaches its tasks, and the next run is not stopped") {
    const auto scheduler = make_scheduler();
    scheduler->request_stop();  // nothing runs: nothing happens
    const auto root = [](Scheduler& of, std::string& ended) -> Task<> {
        WEIR_CO_CHECK(weir::all_of(waits_for_ever(of, ended), stops(of)));
    };
    for (int i = 0; i < 2; ++i) {
        std::string ended;
        const auto stopped = scheduler->run(root(*scheduler, ended));
        CHECK(said(stopped) == "cancelled");
        CHECK(ended == "cancelled");
        check_idle(*scheduler);
        CHECK(scheduler->stopping_since() == weir::never);
    }
}

TEST_CASE("time passes by the scheduler's clock and never less than was asked for") {
    const auto scheduler = make_scheduler();
    const auto root = [](Scheduler& of) -> Task<> {
        const auto began = of.now();
        WEIR_CO_CHECK(weir::sleep_for(3ms));
        CHECK(of.now() - began >= 3ms);
        weir::Ticker ticker(2ms);
        for (int i = 0; i < 5; ++i) WEIR_CO_CHECK(ticker.next());
        CHECK(of.now() - began >= 13ms);
        const auto timed = co_await weir::sleep_for(1h).within(2ms);
        CHECK(said(timed) == "timed out");
        if (weir::test::on_simulated()) {
            WEIR_CO_CHECK(weir::sleep_for(24h * 400));
            CHECK(of.now() - began >= 24h * 400);
        }
    };
    CHECK(said(scheduler->run(root(*scheduler))) == "value");
    check_idle(*scheduler);
}

TEST_CASE("two schedulers run on two threads") {
    const auto work = [](int& sum) {
        auto scheduler = std::make_unique<weir::StaticScheduler<weir::test::test_budget>>();
        if (!scheduler->start(options_of_this_run())) return;
        for (int i = 0; i < 20; ++i) {
            const auto got = scheduler->run(talks(*scheduler, 100));
            if (got) sum += *got;
        }
    };
    int sums[2] = {};
    std::thread other(work, std::ref(sums[0]));
    work(sums[1]);
    other.join();
    CHECK(sums[0] == 20 * 4950);
    CHECK(sums[1] == 20 * 4950);
}

TEST_CASE("a lost peer is an error value and not a signal") {
    struct sigaction before {};
    ::sigaction(SIGPIPE, nullptr, &before);
    const auto scheduler = make_scheduler();
    const auto root = [](Scheduler& of) -> Task<> {
        WEIR_CO_TRY(auto pipe, weir::Pipe::create());
        pipe.reader.close();
        const auto written = co_await writes(of, std::move(pipe.writer), 1);
        CHECK(said(written) == "the peer was lost");
    };
    CHECK(said(scheduler->run(root(*scheduler))) == "value");
    ::sigaction(SIGPIPE, &before, nullptr);
}

namespace {

using Lines = std::vector<std::string>;
void keep(std::string_view line, void* context) noexcept {
    static_cast<Lines*>(context)->emplace_back(line);
}

constexpr weir::Budget watchful{.frame_bytes = 16 * 1024, .hold_warning_ms = 1};

Task<> holds_the_thread(Scheduler&) {
    WEIR_CO_CHECK(weir::yield());
    const auto until = weir::MonotonicClock::now() + 3ms;
    while (weir::MonotonicClock::now() < until) {}
    WEIR_CO_CHECK(weir::yield());
}
Task<> root_of_holder(Scheduler& scheduler) {
    WEIR_CO_CHECK(holds_the_thread(scheduler));
}

}  // namespace

TEST_CASE("a task that holds the thread too long is reported by name") {
    Lines lines;
    const auto scheduler = make_scheduler<watchful>();
    weir::set_report(keep, &lines);
    CHECK(said(scheduler->run(root_of_holder(*scheduler))) == "value");
    weir::set_report(nullptr, nullptr);
    bool found = false;
    for (const std::string& line : lines) {
        if (line.find("holds_the_thread") != std::string::npos) {
            found = true;
            CHECK(line.find("limit 1") != std::string::npos);
        }
        CHECK(line.find(" ms") != std::string::npos);
    }
    CHECK(found);
}

TEST_CASE("a simulated program that nothing can wake any more is told so, stopped, and ends") {
    if (!weir::test::on_simulated())
        weir::test::skip("only the simulated backend knows that nothing else can happen");
    Lines lines;
    const auto scheduler = make_scheduler();
    const auto root = [](Scheduler& of, std::string& ended) -> Task<> {
        WEIR_CO_TRY(auto pipe, weir::Pipe::create());
        int number = 0;
        const auto got = co_await weir::all_of(pipe.reader.read(weir::writable_bytes_of(number)),
                                               waits_for_ever(of, ended));
        CHECK(said(got) == "cancelled");
    };
    std::string ended;
    weir::set_report(keep, &lines);
    CHECK(said(scheduler->run(root(*scheduler, ended))) == "value");
    weir::set_report(nullptr, nullptr);
    CHECK(ended == "cancelled");
    REQUIRE(!lines.empty());
    CHECK(lines[0].find("nothing can wake") != std::string::npos);
    check_idle(*scheduler);
}

TEST_CASE("the same seed gives the same simulated run") {
    if (!weir::test::on_simulated()) weir::test::skip("real backends have no seed");
    const auto order_of = [](std::uint64_t seed) {
        const auto scheduler = make_scheduler(options_of_this_run(seed));
        const auto reader = [](Scheduler&, weir::PipeReader& from, std::string& order, char name) -> Task<> {
            std::byte byte{};
            WEIR_CO_CHECK(from.read({&byte, 1}));
            order += name;
        };
        const auto root = [](Scheduler& of, decltype(reader) read, std::string& order) -> Task<> {
            WEIR_CO_TRY(auto a, weir::Pipe::create());
            WEIR_CO_TRY(auto b, weir::Pipe::create());
            WEIR_CO_TRY(auto c, weir::Pipe::create());
            const auto write = [](Scheduler&, weir::Pipe& x, weir::Pipe& y, weir::Pipe& z) -> Task<> {
                WEIR_CO_CHECK(x.writer.write_all(weir::bytes_of("1")));
                WEIR_CO_CHECK(y.writer.write_all(weir::bytes_of("2")));
                WEIR_CO_CHECK(z.writer.write_all(weir::bytes_of("3")));
            };
            WEIR_CO_CHECK(weir::all_of(read(of, a.reader, order, 'a'), read(of, b.reader, order, 'b'),
                                       read(of, c.reader, order, 'c'), write(of, a, b, c)));
        };
        std::string order;
        CHECK(said(scheduler->run(root(*scheduler, reader, order))) == "value");
        return order;
    };
    std::vector<std::string> orders;
    bool differ = false;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        orders.push_back(order_of(seed));
        CHECK(orders.back().size() == 3);
        CHECK(order_of(seed) == orders.back());
        differ = differ || orders.back() != orders.front();
    }
    CHECK(differ);
}
