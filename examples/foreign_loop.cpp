// SPDX-License-Identifier: MIT
//
// An event loop that is there already drives weir.
//
//     build/gcc/examples/foreign_loop
//
// The loop is poll(2) over two descriptors: one of its own, and the scheduler's. Shows: poll_fd(), next_deadline(),
// run_ready(). To any other loop (GLib, Qt, libuv) they are handed in the same way: a descriptor and a time.
#include <weir/weir.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <poll.h>
#include <unistd.h>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

// weir's side: three lines for the loop, with pauses.
Task<> talk(Scheduler&, weir::PipeWriter to_loop) {
    for (const std::string_view line : {"one\n", "two\n", "three\n"}) {
        WEIR_CO_CHECK(weir::sleep_for(5ms));
        WEIR_CO_CHECK(to_loop.write_all(weir::bytes_of(line)));
    }
}

// How long poll(2) may wait, rounded up so that it does not wake too early.
int patience_ms(const Scheduler& scheduler) {
    if (scheduler.next_deadline() == weir::never) return -1;
    const auto left = scheduler.next_deadline() - weir::MonotonicClock::now();
    const auto left_ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::clamp<std::int64_t>(left_ms, 0, 60'000));
}

int main() {
    static constinit weir::StaticScheduler<weir::small_budget> scheduler;
    if (!scheduler.start()) {
        weir::report(scheduler.backend_reason());
        return 1;
    }
    int ends[2];
    if (::pipe(ends) != 0) return 1;
    auto writer = weir::PipeWriter::adopt(ends[1]);
    if (!writer) return 1;

    Scheduler::Root<void> root;  // the task and its result, in place of scheduler.run()
    if (!scheduler.begin(talk(scheduler, std::move(*writer)), root)) return 1;
    std::optional<weir::Result<void>> outcome;
    for (bool pipe_open = true; pipe_open;) {
        if (!outcome) {
            const auto lives = scheduler.run_ready();  // never waits
            if (!lives) return 1;
            if (!*lives) outcome = root.take();  // and frees the task, with the writer that it holds
        }
        std::array<pollfd, 2> watched{{{.fd = ends[0], .events = POLLIN, .revents = 0},
                                       {.fd = scheduler.poll_fd(), .events = POLLIN, .revents = 0}}};
        ::poll(watched.data(), watched.size(), outcome ? -1 : patience_ms(scheduler));
        if (watched[0].revents == 0) continue;
        std::array<char, 64> text;  // the loop's own business
        const auto size = ::read(ends[0], text.data(), text.size());
        if (size > 0) std::printf("%.*s", static_cast<int>(size), text.data());
        pipe_open = size > 0;
    }
    ::close(ends[0]);
    std::puts(outcome && *outcome ? "weir's task ended well" : "weir's task failed");
}
