// SPDX-License-Identifier: MIT
//
// bench_topic_weir: Publisher and Subscriber between processes, each loan and each sample awaited.
//
//   asleep       a sample of 64 bytes on one topic, and another back on a second one, on one core
//   one-1, one-4 the parent publishes as fast as it can; one subscriber, or four, on another core, take what they can
//   loan-64b, loan-4mib   the same with large samples, of which both sides touch the first 64 bytes
//   calm, loud   one-1 with a second subscriber that the publisher does not trust, and that does nothing, or announces
//                sleep, pins and moves without end
//
// A two-core program pins its processes only when their schedulers know how many processors there are, since one that may
// run on a single one never spins.

#include "load_marks.hpp"
#include "ring.hpp"

#include "weir/core/report.hpp"
#include "weir/coro/sleep.hpp"
#include "weir/ipc/topic/topic.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <csignal>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

namespace {

using namespace std::chrono_literals;
using weir::ipc::Publisher;
using weir::ipc::Subscriber;

struct Image {
    Record first;
    std::array<std::uint64_t, (4 << 20) / 8 - 8> rest;
};
static_assert(sizeof(Image) == 4 << 20);

constexpr weir::Budget budget{
    .frame_bytes = 32 * 1024, .submissions = 32, .descriptors = 32, .links = 8, .spin_us = BENCH_SPIN_US};
// All processes are made by a fork: each starts a scheduler of its own in the same static memory.
constinit weir::StaticScheduler<budget> scheduler;

constexpr weir::ipc::TopicName there_name{"bench/there"};
constexpr weir::ipc::TopicName back_name{"bench/back"};

std::array<char, 32> directory{"/tmp/weir-bench-XXXXXX"};

void make_directory() {
    if (mkdtemp(directory.data()) == nullptr) fail("mkdtemp");
    if (setenv("WEIR_RUNTIME_DIR", directory.data(), 1) != 0) fail("setenv");
}

void remove_directory() {
    if (rmdir(directory.data()) != 0) fail("a topic left something behind: rmdir");
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

// --- round trips

weir::Task<> ask(weir::Scheduler& on, Batches& batches) {
    WEIR_CO_TRY(auto there, Publisher<Record>::create(on, there_name));
    WEIR_CO_TRY(auto back, Subscriber<Record>::open(on, back_name).within(10s));
    while (there.subscribers() == 0) WEIR_CO_CHECK(weir::sleep_for(1ms));
    std::uint64_t number = 0;
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            WEIR_CO_TRY(auto question, there.loan());
            fill(*question, ++number);
            question.publish();
            WEIR_CO_TRY(const auto answer, back.next());
            check_record(difference(*answer, number));
        }
    } while (batches.lap());
}

weir::Task<> answer(weir::Scheduler& on, std::size_t operations) {
    WEIR_CO_TRY(auto back, Publisher<Record>::create(on, back_name));
    WEIR_CO_TRY(auto there, Subscriber<Record>::open(on, there_name).within(10s));
    for (std::uint64_t number = 1; number <= operations; ++number) {
        WEIR_CO_TRY(const auto question, there.next());
        check_record(difference(*question, number));
        WEIR_CO_TRY(auto reply, back.loan());
        fill(*reply, number);
        reply.publish();
    }
}

void measure_round_trips(Batches& batches) {
    run(ask(scheduler, batches));
}
void serve_round_trips(std::size_t operations) {
    run(answer(scheduler, operations));
}

// --- one way

constexpr std::uint64_t warm_up = 4 * one_way_batch;

Record& record_of(Record& sample) noexcept {
    return sample;
}
Record& record_of(Image& sample) noexcept {
    return sample.first;
}
const Record& record_of(const Record& sample) noexcept {
    return sample;
}
const Record& record_of(const Image& sample) noexcept {
    return sample.first;
}

/// What subscribers took, of what was published. Shared by all processes.
std::atomic<std::uint64_t>* taken_in_all = nullptr;
std::uint64_t published_in_all = 0;

std::array<pid_t, 3> further{};  // processes beside the parent and its child

/// Makes a process that does `work`, before any has a scheduler that runs.
void fork_one_more(pid_t& pid, void (*begin)(), void (*work)()) {
    pid = fork();
    if (pid < 0) fail("fork");
    if (pid != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    begin();
    pin_to_core(0);
    work();
    _exit(0);
}

void prepare_one_way() {
    make_directory();
    void* const memory =
        mmap(nullptr, sizeof(*taken_in_all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    taken_in_all = ::new (memory) std::atomic<std::uint64_t>{0};
}

void clean_up_one_way() {
    for (const pid_t pid : further) {
        int status = 0;
        if (pid != 0 && (waitpid(pid, &status, 0) != pid || status != 0)) {
            std::fprintf(stderr, "a further process failed: status 0x%x\n", static_cast<unsigned>(status));
            std::exit(1);
        }
    }
    remove_directory();
}

template <class T>
weir::Task<> publish_all(weir::Scheduler& on, Batches& batches, weir::ipc::PublisherOptions options,
                         std::uint32_t subscribers) {
    WEIR_CO_TRY(auto publisher, Publisher<T>::create(on, there_name, options));
    while (publisher.subscribers() < subscribers) WEIR_CO_CHECK(weir::sleep_for(1ms));
    std::uint64_t number = 0;
    batches.start();
    do {
        if (number == warm_up) mark_load();
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            WEIR_CO_TRY(auto sample, publisher.loan());
            fill(record_of(*sample), number++);
            sample.publish();
        }
    } while (batches.lap());
    mark_load();
    published_in_all = number * subscribers;
}

template <class T>
weir::Task<> take_all(weir::Scheduler& on) {
    WEIR_CO_TRY(auto subscriber, Subscriber<T>::open(on, there_name).within(10s));
    std::uint64_t next = 0;
    std::uint64_t taken = 0;
    std::uint64_t differences = 0;
    for (;;) {
        auto arrived = co_await subscriber.next();
        if (!arrived && arrived.error() == weir::Errc::ended) break;
        WEIR_CO_TRY(const auto sample, std::move(arrived));
        if (taken++ == warm_up) mark_load();
        differences |= difference(record_of(*sample), sample.sequence());
        if (taken > 1) differences |= sample.sequence() ^ (next + sample.missed());
        next = sample.sequence() + 1;
    }
    mark_load();
    taken_in_all->fetch_add(taken);
    check_record(differences);
}

template <class T>
constexpr weir::ipc::PublisherOptions options_of(std::uint32_t subscribers) {
    weir::ipc::PublisherOptions options{
        .depth = ring_slots, .subscribers_max = subscribers, .subscriber_loans = 1};
    // Memory for a thousand images is more than some machines have.
    if (sizeof(T) > sizeof(Record) || subscribers == 0) options.depth = 16;
    return options;
}

template <class T, std::uint32_t subscribers>
void measure_publishing(Batches& batches) {
    run(publish_all<T>(scheduler, batches, options_of<T>(subscribers), subscribers));
}
// As few of them as there are of the large ones.
void measure_small_loans(Batches& batches) {
    run(publish_all<Record>(scheduler, batches, options_of<Image>(1), 1));
}

template <class T>
void serve_subscriber(std::size_t) {
    run(take_all<T>(scheduler));
}
template <weir::BackendChoice backend>
void prepare_four() {
    prepare_one_way();
    for (pid_t& pid : further) fork_one_more(pid, begin<backend>, [] { run(take_all<Record>(scheduler)); });
}

void report_share() {
    const auto taken = static_cast<double>(taken_in_all->load());
    print_extra("taken_percent", 100 * taken / static_cast<double>(published_in_all));
}

// --- beside one that is not trusted

weir::Task<> attach_and_stay(weir::Scheduler&, bool loud) {
    WEIR_CO_TRY(auto link,
                weir::ipc::open_link(there_name, weir::ipc::topic::shape_of<Record>().terms(0)).within(10s));
    void* const memory = link->own().data();
    auto& words = std::launder(static_cast<weir::ipc::topic::SubscriberRegion*>(memory))->words;
    for (std::uint32_t i = 0; link->state() == weir::ipc::LinkState::attached; ++i) {
        if (loud) {
            words.epoch.store(2 * i + 1);
            words.position.store(i);
            words.pins[i % 31].store(i % 1'024);
        }
        // It looks after its link now and then.
        if (!loud || i % 1'000'000 == 0) WEIR_CO_CHECK(weir::sleep_for(1ms));
    }
}

template <bool loud>
void prepare_a_stranger() {
    prepare_one_way();
    fork_one_more(further[0], begin<weir::BackendChoice::io_uring>,
                  [] { run(attach_and_stay(scheduler, loud)); });
}
void measure_beside_a_stranger(Batches& batches) {
    weir::ipc::PublisherOptions options = options_of<Record>(2);
    options.link.trust = weir::ipc::LinkTrust::nobody;
    options.link.links_per_user = 2;  // both are ours, and nobody else comes
    run(publish_all<Record>(scheduler, batches, options, 2));
}

template <weir::BackendChoice backend>
constexpr RingSides round_trips() {
    return {.cores = 1,
            .batch_operations = asleep_batch,
            .prepare = make_directory,
            .measure = measure_round_trips,
            .serve = serve_round_trips,
            .begin = begin<backend>,
            .clean_up = remove_directory};
}
template <weir::BackendChoice backend>
constexpr RingSides one_way(void (*measure)(Batches&), void (*serve)(std::size_t),
                            void (*prepare)() = prepare_one_way) {
    return {.cores = 2,
            .batch_operations = one_way_batch,
            .prepare = prepare,
            .measure = measure,
            .serve = serve,
            .begin = begin<backend>,
            .clean_up = clean_up_one_way,
            .report = report_share};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    constexpr auto epoll = weir::BackendChoice::epoll;
    constexpr auto uring = weir::BackendChoice::io_uring;
    constexpr std::array rings{
        NamedRing{"asleep-epoll", round_trips<epoll>()},
        NamedRing{"asleep-uring", round_trips<uring>()},
        NamedRing{"one-1-epoll", one_way<epoll>(measure_publishing<Record, 1>, serve_subscriber<Record>)},
        NamedRing{"one-1-uring", one_way<uring>(measure_publishing<Record, 1>, serve_subscriber<Record>)},
        NamedRing{"one-4-epoll", one_way<epoll>(measure_publishing<Record, 4>, serve_subscriber<Record>,
                                                prepare_four<epoll>)},
        NamedRing{"one-4-uring", one_way<uring>(measure_publishing<Record, 4>, serve_subscriber<Record>,
                                                prepare_four<uring>)},
        NamedRing{"loan-64b", one_way<uring>(measure_small_loans, serve_subscriber<Record>)},
        NamedRing{"loan-4mib", one_way<uring>(measure_publishing<Image, 1>, serve_subscriber<Image>)},
        NamedRing{"calm", one_way<uring>(measure_beside_a_stranger, serve_subscriber<Record>,
                                         prepare_a_stranger<false>)},
        NamedRing{"loud", one_way<uring>(measure_beside_a_stranger, serve_subscriber<Record>,
                                         prepare_a_stranger<true>)},
    };
    return ring_main(std::span(argv, static_cast<std::size_t>(argc)), rings);
}
