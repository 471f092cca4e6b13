// SPDX-License-Identifier: MIT
//
// bench_service_weir: calls between two processes, request and reply of 64 bytes each.
//
// The parent calls, its child answers. One call at a time, asleep on one core or busy on two; or many tasks that each have
// one in flight, on two cores. With 16 each side has work for two microseconds, with 256 for longer than what
// interrupts a core takes.

#include "load_marks.hpp"
#include "ring.hpp"

#include "weir/core/report.hpp"
#include "weir/coro/group.hpp"
#include "weir/ipc/service/service.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <utility>

#include <unistd.h>

namespace bench {

namespace {

using namespace std::chrono_literals;

struct Question {
    std::array<std::uint64_t, 8> words;
};
struct Answer {
    std::array<std::uint64_t, 8> words;
};
using Echo = weir::ipc::Service<Question, Answer>;

constexpr weir::Budget budget{
    .frame_bytes = 512 * 1024, .submissions = 32, .descriptors = 32, .links = 4, .spin_us = BENCH_SPIN_US};
// Both processes are made by a fork: each starts a scheduler of its own in the same static memory.
constinit weir::StaticScheduler<budget> scheduler;

constexpr weir::ipc::ServiceName echo_name{"bench/echo"};
constexpr std::size_t in_flight_max = 256;
constexpr std::size_t in_flight_batch = 64 * in_flight_max;

std::array<char, 32> directory{"/tmp/weir-bench-XXXXXX"};

void make_directory() {
    if (mkdtemp(directory.data()) == nullptr) fail("mkdtemp");
    if (setenv("WEIR_RUNTIME_DIR", directory.data(), 1) != 0) fail("setenv");
}

void remove_directory() {
    if (rmdir(directory.data()) != 0) fail("a service left something behind: rmdir");
}

template <weir::BackendChoice backend>
void begin() {
    if (!scheduler.start({.backend = backend})) skip(scheduler.backend_reason().data());
    (void)scheduler.linger();  // it asks how many processors there are when it would first look
}

void run(weir::Task<> root) {
    const auto result = scheduler.run(std::move(root));
    if (result) return;
    weir::report(result.error());
    std::exit(1);
}

std::uint64_t difference_of(const std::array<std::uint64_t, 8>& words, std::uint64_t number) {
    std::uint64_t found = 0;
    for (const std::uint64_t word : words) found |= word ^ number++;
    return found;
}

// The first calls find the other side still attaching.
constexpr std::uint64_t warm_up = in_flight_batch;

weir::Task<> answer(weir::Scheduler& on, std::size_t operations) {
    WEIR_CO_TRY(auto server,
                Echo::Server::create(on, echo_name, {.clients_max = 1, .calls_max = in_flight_max}));
    for (std::size_t i = 0; i < operations; ++i) {
        if (i == warm_up) mark_load();
        WEIR_CO_TRY(auto call, server.next());
        Answer reply;
        std::uint64_t number = call->words[0];
        for (std::uint64_t& word : reply.words) word = number++;
        call.reply(reply);
    }
    mark_load();
}

weir::Task<> call_some(weir::Scheduler&, Echo::Client& client, std::size_t count, std::uint64_t first) {
    std::uint64_t differences = 0;
    for (std::uint64_t number = first; number < first + count; ++number) {
        Question question;
        std::uint64_t word_number = number;
        for (std::uint64_t& word : question.words) word = word_number++;
        WEIR_CO_TRY(const auto reply, client.call(question));
        differences |= difference_of(reply.words, number);
    }
    check_record(differences);
}

weir::Task<> ask(weir::Scheduler& on, Batches& batches) {
    WEIR_CO_TRY(auto client, Echo::Client::open(on, echo_name).within(10s));
    batches.start();
    do {
        WEIR_CO_CHECK(call_some(on, client, batches.batch_operations(), 1));
    } while (batches.lap());
}

weir::Task<> call_in_each(weir::Scheduler& on, weir::Group& tasks, Echo::Client& client,
                          std::size_t in_flight, std::size_t count) {
    for (std::size_t i = 0; i < in_flight; ++i)
        WEIR_CO_CHECK(tasks.spawn(call_some(on, client, count / in_flight, i * 1'000'000)));
}

weir::Task<> ask_many(weir::Scheduler& on, Batches& batches, std::size_t in_flight) {
    WEIR_CO_TRY(auto client, Echo::Client::open(on, echo_name).within(10s));
    std::size_t called = 0;
    batches.start();
    do {
        if (called == warm_up) mark_load();
        WEIR_CO_CHECK(weir::with_group<in_flight_max>(on, call_in_each, std::ref(client), in_flight,
                                                      batches.batch_operations()));
        called += batches.batch_operations();
    } while (batches.lap());
    mark_load();
}

void measure_one(Batches& batches) {
    run(ask(scheduler, batches));
}
template <std::size_t in_flight>
void measure_many(Batches& batches) {
    run(ask_many(scheduler, batches, in_flight));
}
void serve(std::size_t operations) {
    run(answer(scheduler, operations));
}

template <weir::BackendChoice backend>
constexpr RingSides one(std::size_t cores, std::size_t batch) {
    return {cores, batch, make_directory, measure_one, serve, begin<backend>, remove_directory};
}
template <weir::BackendChoice backend, std::size_t in_flight>
constexpr RingSides many() {
    return {2,     in_flight_batch, make_directory,  measure_many<in_flight>,
            serve, begin<backend>,  remove_directory};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    constexpr auto epoll = weir::BackendChoice::epoll;
    constexpr auto uring = weir::BackendChoice::io_uring;
    constexpr std::array services{
        NamedRing{"asleep-epoll", one<epoll>(1, asleep_batch)},
        NamedRing{"asleep-uring", one<uring>(1, asleep_batch)},
        NamedRing{"busy-epoll", one<epoll>(2, busy_batch)},
        NamedRing{"busy-uring", one<uring>(2, busy_batch)},
        NamedRing{"16-epoll", many<epoll, 16>()},
        NamedRing{"16-uring", many<uring, 16>()},
        NamedRing{"256-epoll", many<epoll, 256>()},
        NamedRing{"256-uring", many<uring, 256>()},
    };
    return ring_main(std::span(argv, static_cast<std::size_t>(argc)), services);
}
