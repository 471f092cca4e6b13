// SPDX-License-Identifier: MIT
//
// A publisher that waits for the slowest, and two subscribers that go on with its successors. Samples are numbered, and a
// publisher writes down, in memory that outlives it, how many it has published. *Lost* is a sample that a subscriber
// which lived did not get in its turn, whole, or that its publisher had published before it was killed and that did not
// come any more.
#include <weir/ipc/topic/topic.hpp>

#include <weir/coro/sleep.hpp>
#include <weir/scheduler/scheduler.hpp>

#include "support/killed_processes.hpp"
#include "support/random_kills.hpp"

namespace {

using namespace weir;
using namespace std::chrono_literals;

struct Numbered {
    std::uint64_t publisher;  ///< the how manieth it is
    std::uint64_t number;     ///< of those that it published
    std::uint64_t check[6];
};
constexpr ipc::TopicName name{"numbers"};
constexpr std::uint32_t subscribers_count = 2;
constexpr std::uint64_t publishers_max = 1 << 16;

std::uint64_t check_of(std::uint64_t publisher, std::uint64_t number, std::uint64_t index) {
    return (publisher * 77'777 + number + index) * 0x9e37'79b9'7f4a'7c15;
}

struct Ledger {
    std::atomic<std::uint64_t> publishers{0};
    std::atomic<std::uint64_t> taken{0};
    std::atomic<bool> enough{false};
    std::atomic<std::uint64_t> lost{0};
    std::atomic<std::uint64_t> published[publishers_max];
};
Ledger* ledger = nullptr;
const ipc::RuntimeDirectory* directory = nullptr;

constexpr Budget budget{.frame_bytes = 64 * 1024, .submissions = 32, .descriptors = 32, .links = 8};
constinit StaticScheduler<budget> scheduler;

Task<> publish(Scheduler& on) {
    const std::uint64_t publisher = ledger->publishers.fetch_add(1);
    if (publisher >= publishers_max) co_return co_await fail(Errc::too_large, "publishers");
    ipc::PublisherOptions options{
        .depth = 8, .subscribers_max = subscribers_count, .policy = ipc::TopicPolicy::wait_for_slowest};
    options.link.directory = directory;
    WEIR_CO_TRY(auto topic, ipc::Publisher<Numbered>::create(on, name, options));
    while (!ledger->enough) {
        // Those that were there before it was killed come back; alone it has nothing to do.
        if (topic.subscribers() == 0) {
            WEIR_CO_CHECK(sleep_for(1ms));
            continue;
        }
        auto loan = co_await topic.loan().within(100ms);
        if (!loan && loan.error() == Errc::timed_out) continue;
        WEIR_CO_TRY(auto sample, std::move(loan));
        sample->publisher = publisher;
        sample->number = topic.published();
        for (std::uint64_t i = 0; i < std::size(sample->check); ++i)
            sample->check[i] = check_of(publisher, sample->number, i);
        sample.publish();
        ledger->published[publisher] = topic.published();
    }
}

/// What one subscriber knows of the publisher that it is at.
struct Progress {
    std::uint64_t publisher = ~std::uint64_t{0};
    std::uint64_t next = 0;  // number
};

// Everything that the last one had published, by its own account, has come before it is given up.
void check_all_came(const Progress& progress) {
    if (progress.publisher < publishers_max && progress.next < ledger->published[progress.publisher])
        ledger->lost.fetch_add(ledger->published[progress.publisher] - progress.next);
}

void check(const ipc::Sample<Numbered>& sample, Progress& progress) {
    if (progress.publisher == ~std::uint64_t{0} || sample.restarted()) {
        check_all_came(progress);
        // The first that it was at may have been killed before anything came.
        const bool first = progress.publisher == ~std::uint64_t{0};
        if (!first && sample->publisher <= progress.publisher) ledger->lost.fetch_add(1);
        progress = {.publisher = sample->publisher, .next = sample->number};
    }
    bool good = sample->publisher == progress.publisher && sample->number == progress.next &&
                sample.sequence() == sample->number && sample.missed() == 0;
    for (std::uint64_t i = 0; i < std::size(sample->check); ++i)
        good = good && sample->check[i] == check_of(sample->publisher, sample->number, i);
    if (!good) ledger->lost.fetch_add(1);
    progress.next = sample->number + 1;
}

Task<> take_all(Scheduler& on) {
    ipc::SubscriberOptions options;
    options.successor = ipc::Successor::await;
    options.link.directory = directory;
    Progress progress;
    // One that died a moment ago may still have its place.
    std::optional<ipc::Subscriber<Numbered>> subscriber;
    while (!subscriber) {
        auto opened = co_await ipc::Subscriber<Numbered>::open(on, name, options).within(10s);
        if (!opened && opened.error() == Errc::no_place) {
            WEIR_CO_CHECK(sleep_for(1ms));
            continue;
        }
        if (!opened && opened.error() == Errc::timed_out && ledger->enough)
            co_return;  // the publisher ended first
        WEIR_CO_TRY(auto fresh, std::move(opened));
        subscriber = std::move(fresh);
    }
    while (!ledger->enough) {
        auto next = co_await subscriber->next().within(100ms);
        if (!next && next.error() == Errc::timed_out) continue;
        if (!next && next.error() == Errc::no_place) {
            WEIR_CO_CHECK(sleep_for(1ms));
            continue;
        }
        WEIR_CO_TRY(const auto sample, std::move(next));
        check(sample, progress);
        ledger->taken.fetch_add(1);
    }
}

int play(std::size_t role, std::uint32_t started) {
    return weir::test::play_as(role == 0 ? "publisher" : "subscriber", scheduler, started,
                               [=] { return role == 0 ? publish(scheduler) : take_all(scheduler); });
}

}  // namespace

weir::test::RandomKills weir::test::kill_topic_processes(std::uint64_t kills, std::uint64_t between) {
    const KilledFolder folder;
    const auto found = ipc::RuntimeDirectory::at(folder.path());
    if (!found) return {.failure = "no runtime directory"};
    directory = &*found;
    ledger = ::new (shared_memory(sizeof(Ledger))) Ledger;

    KilledProcesses processes(1 + subscribers_count, play, ledger->taken);
    processes.run(kills, between * subscribers_count);
    processes.end(ledger->enough);
    return {.kills = processes.killed,
            .records = ledger->taken,
            .lost = ledger->lost,
            .left = folder.count(),
            .failure = processes.failure};
}
