// SPDX-License-Identifier: MIT
//
// bench_tasks_asio: Asio's yield is a post to its own executor, its child an awaitable.

#include "tasks.hpp"
#include "tasks_asio_bodies.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

namespace bench {

namespace {

constexpr int one_thread = 1;

double switch_ns(std::size_t task_count, std::size_t switches) {
    asio::io_context context(one_thread);
    const std::size_t rounds = rounds_per_batch(task_count);
    Batches batches(switches, rounds * task_count);
    bool finished = false;
    asio::co_spawn(context, yield_and_measure(batches, rounds, finished), asio::detached);
    for (std::size_t i = 1; i < task_count; ++i) {
        asio::co_spawn(context, yield_until(finished), asio::detached);
    }
    context.run();
    return batches.median_ns();
}

asio::awaitable<void> parent(Batches& batches) {
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) co_await child();
    } while (batches.lap());
}

double child_ns(std::size_t children) {
    asio::io_context context(one_thread);
    Batches batches(children, children_per_batch);
    asio::co_spawn(context, parent(batches), asio::detached);
    context.run();
    return batches.median_ns();
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    return bench::tasks_main(std::span(argv, static_cast<std::size_t>(argc)),
                             {.switch_ns = bench::switch_ns, .child_ns = bench::child_ns});
}
