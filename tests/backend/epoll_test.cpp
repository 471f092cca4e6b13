// SPDX-License-Identifier: MIT
//
// Where the kernel has no epoll_pwait2 (before 5.11, or in a sandbox) ppoll gives the nanoseconds.
#include <weir/weir.hpp>

#include "support/forbid_call.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include <array>
#include <cstdio>
#include <memory>

namespace {

using namespace std::chrono_literals;
using namespace weir;

constexpr Budget budget{.frame_bytes = 16 * 1024, .submissions = 8, .descriptors = 16, .timer_slots = 16};
constexpr long epoll_pwait2_number = 441;
constexpr int no_filter_status = 77;

Task<> write_later(Scheduler&, PipeWriter writer) {
    for (char byte = 'a'; byte <= 'e'; ++byte) {
        WEIR_CO_CHECK(sleep_for(300us));
        WEIR_CO_CHECK(writer.write_all({reinterpret_cast<const std::byte*>(&byte), 1}));
    }
}

Task<int> read_all(Scheduler&, PipeReader reader) {
    int sum = 0;
    for (;;) {
        std::array<std::byte, 4> buffer;
        WEIR_CO_TRY(const auto got, reader.read(buffer));
        if (got.empty()) co_return sum;
        for (const std::byte byte : got) sum += static_cast<int>(byte);
    }
}

Task<> timers_and_bytes(Scheduler& scheduler) {
    // Exact to the nanosecond: never early, whatever the order of the sleepers.
    for (const Duration span :
         {Duration(1'100us), Duration(1ns), Duration(250us), Duration(2ms), Duration(10us)}) {
        const Instant until = after(scheduler.now(), span);
        WEIR_CO_CHECK(sleep_for(span));
        if (scheduler.now() < until) co_return co_await fail(Errc::invalid, "woken early");
    }
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    std::array<std::byte, 4> buffer;
    const auto nothing = co_await pipe.reader.read(buffer).within(700us);
    if (nothing || nothing.error() != Errc::timed_out) co_return co_await fail(Errc::invalid, "no deadline");
    WEIR_CO_TRY(const auto both, all_of(write_later(scheduler, std::move(pipe.writer)),
                                        read_all(scheduler, std::move(pipe.reader))));
    if (std::get<1>(both) != 'a' + 'b' + 'c' + 'd' + 'e')
        co_return co_await fail(Errc::invalid, "bytes lost");
}

TEST_CASE("without epoll_pwait2 timers are as fine and bytes arrive the same") {
    for (const int error : {ENOSYS, EPERM}) {
        const auto end = weir::test::run_in_child([error] {
            if (!weir::test::forbid_call(epoll_pwait2_number, error)) {
                // An emulator may have no filters, but then has no such call either.
                ::syscall(epoll_pwait2_number, -1, nullptr, 0, nullptr, nullptr, std::size_t{8});
                if (errno != ENOSYS) return no_filter_status;
            }
            const auto scheduler = std::make_unique<StaticScheduler<budget>>();
            const auto started = scheduler->start({.backend = BackendChoice::epoll});
            if (!started) return 2;
            const auto outcome = scheduler->run(timers_and_bytes(*scheduler));
            if (outcome) return 0;
            char text[200];
            std::fprintf(stderr, "%s\n", outcome.error().message(text).data());
            return 1;
        });
        if (end.exit_status == no_filter_status) weir::test::skip("no seccomp filters here");
        INFO(end.errors);
        CHECK(end.exit_status == 0);
    }
}

}  // namespace
