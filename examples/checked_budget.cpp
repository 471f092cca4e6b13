// SPDX-License-Identifier: MIT
//
// All memory that a program will ever use, as one number that the compiler checks.
//
//     build/gcc/examples/checked_budget
//
// Shows: a budget, its footprint as a constant, a scheduler in static memory, what happens at a limit, and the figures to choose
// the numbers by.
#include <weir/weir.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr weir::Budget budget{
    .frame_bytes = 6 * 1024,  // the sum over task types of frame size x how many there are at most
    .submissions = 16,        // io_uring entries between two waits
    .descriptors = 8,         // that tasks wait on
    .timer_slots = 16,
};
// Breaks the build, not the board: raise a number above, and this line says whether it still fits.
static_assert(weir::footprint(budget) <= 12 * 1024);

Task<> worker(Scheduler&, weir::Event& go) {
    WEIR_CO_CHECK(go.wait());
}
Task<> hire(Scheduler& of, weir::Group& workers, weir::Event& go) {
    for (int i = 1; i <= 4; ++i) {
        const auto hired = workers.spawn(worker(of, go));
        if (hired) {
            std::printf("worker %d: hired\n", i);
        } else if (hired.error() == weir::Errc::no_group_slot) {
            // A limit is an error value; whatever runs already goes on.
            char text[80];
            hired.error().message(text);
            std::printf("worker %d: %s\n", i, text);
        } else {
            co_return co_await weir::fail(hired.error());
        }
    }
    go.set();
}
Task<> company(Scheduler& of) {
    weir::Event go;
    WEIR_CO_CHECK(weir::with_group<3>(of, hire, std::ref(go)));
}

int main() {
    static constinit weir::StaticScheduler<budget> scheduler;  // no constructor runs
    const auto outcome = scheduler.run(company(scheduler));
    if (!outcome) {
        weir::report(outcome.error());
        weir::report(scheduler.backend_reason());
        return 1;
    }
    const weir::Usage usage = scheduler.usage();
    std::printf("frames: %s\n",
                usage.frame_bytes <= usage.frame_bytes_max / 2 ? "half of them would do" : "tight");
    std::printf("tasks run: %llu, alive: %zu\n", static_cast<unsigned long long>(usage.tasks_started),
                usage.frames);
}
