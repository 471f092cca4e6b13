// SPDX-License-Identifier: MIT
//
// A program that stands still with a task in each kind of wait, dumps itself to standard output, and stays so until its
// standard input ends.
#include <weir/weir.hpp>

#include <array>
#include <sys/prctl.h>
#include <unistd.h>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

namespace {

struct Things {
    weir::Event event;
    weir::Mutex mutex;
    weir::Semaphore semaphore{0};
    weir::Channel<int, 1> channel;
    weir::PipeReader reader;
};

Task<int> reads(Scheduler&, Things& things) {
    std::array<std::byte, 8> buffer;
    WEIR_CO_TRY(const auto bytes, things.reader.read(buffer).within(90s));
    co_return static_cast<int>(bytes.size());
}
Task<> ticks(Scheduler&) {
    weir::Ticker ticker(1h);
    WEIR_CO_CHECK(ticker.next());
}
Task<> locks(Scheduler&, Things& things) {
    WEIR_CO_CHECK(things.mutex.lock());
}
Task<> acquires(Scheduler&, Things& things) {
    WEIR_CO_CHECK(things.semaphore.acquire().by(weir::never));
}
Task<std::array<std::uint64_t, 9>> receives(Scheduler&, Things& things) {
    WEIR_CO_TRY(const int value, things.channel.receive().within(2h));
    co_return std::array<std::uint64_t, 9>{static_cast<std::uint64_t>(value)};
}
Task<> both(Scheduler& scheduler, Things& things) {
    WEIR_CO_CHECK(
        weir::all_of(receives(scheduler, things), things.event.wait(), weir::sleep_for(3h)).within(4h));
}
Task<> never_run(Scheduler&) {
    co_return;
}
Task<> children(Scheduler& scheduler, weir::Group& group, Things& things) {
    WEIR_CO_TRY(const auto lock, things.mutex.lock());
    WEIR_CO_CHECK(group.spawn(ticks(scheduler)));
    WEIR_CO_CHECK(group.spawn(locks(scheduler, things)));
    WEIR_CO_CHECK(group.spawn(acquires(scheduler, things)));
    WEIR_CO_CHECK(group.spawn(both(scheduler, things)));
    WEIR_CO_CHECK(weir::shielded(5h, things.event.wait()));
}
Task<> root(Scheduler& scheduler, Things& things) {
    WEIR_CO_TRY(auto signals, weir::SignalSet::block({SIGUSR2}));
    const Task<> unborn = never_run(scheduler);  // counted, and in no tree
    auto ended =
        co_await weir::first_of(signals.next(), reads(scheduler, things),
                                weir::with_group<6>(scheduler, children, std::ref(things)).within(6h),
                                weir::sleep_for(7h).within(8h));
    WEIR_CO_CHECK(ended.get<0>());
}

}  // namespace

int main() {
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);  // gdb is no ancestor of ours
    static constinit weir::StaticScheduler<weir::small_budget> scheduler;
    static Things things;
    static Scheduler::Root<void> result;
    auto pipe = weir::Pipe::create();
    if (!pipe || !scheduler.start()) return 1;
    things.reader = std::move(pipe->reader);
    if (!scheduler.begin(root(scheduler, things), result)) return 1;
    do {
        if (!scheduler.run_ready()) return 1;
    } while (scheduler.next_deadline() <= weir::MonotonicClock::now());
    scheduler.dump(STDOUT_FILENO);
    ::close(STDOUT_FILENO);
    for (char byte = 0; ::read(STDIN_FILENO, &byte, 1) > 0;) {}
    ::_exit(0);
}
