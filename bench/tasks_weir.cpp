// SPDX-License-Identifier: MIT
//
// bench_tasks_weir: the public yield, and a child that is a task.
//
// A frame holds the slots of its group and has 32 KiB at most: tasks beyond `share_max` are spread over several
// groups. The tasks that hold these groups wait for their children and cost nothing meanwhile.

#include "tasks.hpp"
#include "tasks_weir_bodies.hpp"

#include "weir/core/report.hpp"
#include "weir/coro/group.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <utility>

namespace bench {

namespace {

constexpr std::size_t share_max = 200;
constexpr std::size_t shares_max = 16;
constexpr weir::Budget budget{.frame_bytes = std::size_t{2} << 20};

constinit weir::StaticScheduler<budget> scheduler;

struct Switching {
    Batches& batches;
    std::size_t rounds;
    std::size_t task_count;
    bool finished = false;
};

weir::Task<> spawn_tasks(weir::Scheduler& on, weir::Group& group, std::size_t count, bool measures,
                         Switching& switching) {
    if (measures) {
        --count;
        auto task = yield_and_measure(on, switching.batches, switching.rounds, switching.finished);
        WEIR_CO_CHECK(group.spawn(std::move(task)));
    }
    for (std::size_t i = 0; i < count; ++i) {
        WEIR_CO_CHECK(group.spawn(yield_until(on, switching.finished)));
    }
}

weir::Task<> share(weir::Scheduler& on, std::size_t count, bool measures, Switching& switching) {
    WEIR_CO_CHECK(weir::with_group<share_max>(on, spawn_tasks, count, measures, std::ref(switching)));
}

weir::Task<> spawn_shares(weir::Scheduler& on, weir::Group& group, Switching& switching) {
    for (std::size_t begun = 0; begun < switching.task_count; begun += share_max) {
        const std::size_t count = std::min(share_max, switching.task_count - begun);
        WEIR_CO_CHECK(group.spawn(share(on, count, begun == 0, switching)));
    }
}

weir::Task<> switch_tasks(weir::Scheduler& on, Switching& switching) {
    WEIR_CO_CHECK(weir::with_group<shares_max>(on, spawn_shares, std::ref(switching)));
}

void run(weir::Task<> root) {
    const auto result = scheduler.run(std::move(root));
    if (result) return;
    weir::report(result.error());
    std::exit(1);
}

double switch_ns(std::size_t task_count, std::size_t switches) {
    const std::size_t rounds = rounds_per_batch(task_count);
    Batches batches(switches, rounds * task_count);
    Switching switching{.batches = batches, .rounds = rounds, .task_count = task_count};
    run(switch_tasks(scheduler, switching));
    return batches.median_ns();
}

weir::Task<> parent(weir::Scheduler& on, Batches& batches) {
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) WEIR_CO_CHECK(child(on));
    } while (batches.lap());
}

double child_ns(std::size_t children) {
    Batches batches(children, children_per_batch);
    run(parent(scheduler, batches));
    return batches.median_ns();
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    return bench::tasks_main(std::span(argv, static_cast<std::size_t>(argc)),
                             {.switch_ns = bench::switch_ns, .child_ns = bench::child_ns});
}
