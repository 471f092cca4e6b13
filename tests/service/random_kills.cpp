// SPDX-License-Identifier: MIT
//
// A server and two clients with four calls in flight each. Calls are numbered, and everybody writes down, in memory that
// outlives them all, what became of each. *Lost* is a call that the server saw twice, one that was answered and never
// seen, and one that a client which was not killed has forgotten.
#include <weir/ipc/service/service.hpp>

#include <weir/coro/join.hpp>
#include <weir/coro/sleep.hpp>
#include <weir/scheduler/scheduler.hpp>

#include "support/killed_processes.hpp"
#include "support/random_kills.hpp"

namespace {

using namespace weir;
using namespace std::chrono_literals;

struct Question {
    std::uint64_t number;
};
struct Answer {
    std::uint64_t number;
    std::uint64_t check;
};
using Numbers = ipc::Service<Question, Answer>;
constexpr ipc::ServiceName name{"numbers"};
constexpr std::uint32_t clients_count = 2;
constexpr std::uint32_t tasks_count = 4;

std::uint64_t check_of(std::uint64_t number) {
    return number * 0x9e37'79b9'7f4a'7c15;
}

// What became of a call, in bits: of its client, and of the server.
constexpr std::uint8_t begun = 1;
constexpr std::uint8_t answered = 2;
constexpr std::uint8_t failed = 4;
constexpr std::uint8_t seen = 16;
constexpr std::uint8_t seen_twice = 32;

struct Ledger {
    std::atomic<std::uint64_t> next{0};
    std::atomic<std::uint64_t> answers{0};
    std::atomic<bool> enough{false};
    std::atomic<std::uint32_t> wrong{0};  // answers to something else
    std::uint64_t size = 0;
    std::atomic<std::uint8_t>* fates = nullptr;  // by number
};
Ledger* ledger = nullptr;
const ipc::RuntimeDirectory* directory = nullptr;

constexpr Budget budget{.frame_bytes = 64 * 1024, .submissions = 32, .descriptors = 32, .links = 8};
constinit StaticScheduler<budget> scheduler;

Task<> serve(Scheduler& on) {
    ipc::ServiceOptions options{.clients_max = clients_count, .calls_max = tasks_count};
    options.link.directory = directory;
    WEIR_CO_TRY(auto server, Numbers::Server::create(on, name, options));
    while (!ledger->enough) {
        auto call = co_await server.next().within(100ms);
        if (!call) continue;
        const std::uint64_t number = (*call)->number;
        if (number >= ledger->size) co_return co_await fail(Errc::corrupt, "a request");
        auto& fate = ledger->fates[number];
        if ((fate.fetch_or(seen) & seen) != 0) fate.fetch_or(seen_twice);
        call->reply({.number = number, .check = check_of(number)});
    }
}

Task<> call_on(Scheduler&, Numbers::Client& client) {
    while (!ledger->enough) {
        const std::uint64_t number = ledger->next.fetch_add(1);
        if (number >= ledger->size) co_return;
        auto& fate = ledger->fates[number];
        fate.fetch_or(begun);
        const auto reply = co_await client.call({.number = number}).within(10s);
        if (!reply) {
            fate.fetch_or(failed);
            // The server has as many calls as it may, and some of clients that are gone: they go soon.
            if (reply.error() == Errc::no_place) WEIR_CO_CHECK(yield());
            continue;
        }
        if (reply->number != number || reply->check != check_of(number)) ledger->wrong.fetch_add(1);
        fate.fetch_or(answered);
        ledger->answers.fetch_add(1);
    }
}

Task<> call_all(Scheduler& on) {
    ipc::ServiceClientOptions options{.successor = ipc::Successor::await};
    options.link.directory = directory;
    for (;;) {
        // A client that died a moment ago may still have its place.
        auto opened = co_await Numbers::Client::open(on, name, options).within(10s);
        if (!opened && opened.error() == Errc::no_place) {
            WEIR_CO_CHECK(sleep_for(1ms));
            continue;
        }
        if (!opened && opened.error() == Errc::timed_out && ledger->enough)
            co_return;  // the server ended first
        WEIR_CO_TRY(auto client, std::move(opened));
        WEIR_CO_CHECK(
            all_of(call_on(on, client), call_on(on, client), call_on(on, client), call_on(on, client)));
        co_return;
    }
}

int play(std::size_t role, std::uint32_t started) {
    return weir::test::play_as(role == 0 ? "server" : "client", scheduler, started,
                               [=] { return role == 0 ? serve(scheduler) : call_all(scheduler); });
}

}  // namespace

weir::test::RandomKills weir::test::kill_service_processes(std::uint64_t kills, std::uint64_t between) {
    const KilledFolder folder;
    const auto found = ipc::RuntimeDirectory::at(folder.path());
    if (!found) return {.failure = "no runtime directory"};
    directory = &*found;
    ledger = ::new (shared_memory(sizeof(Ledger))) Ledger;
    ledger->size = (kills + 2) * between * 200;
    ledger->fates =
        static_cast<std::atomic<std::uint8_t>*>(shared_memory(static_cast<std::size_t>(ledger->size)));

    KilledProcesses processes(1 + clients_count, play, ledger->answers);
    processes.run(kills, between);
    processes.end(ledger->enough);  // the clients first, so that each call of theirs comes to its end

    std::uint64_t lost = ledger->wrong;
    std::uint64_t unknown = 0;
    const std::uint64_t count = std::min<std::uint64_t>(ledger->next, ledger->size);
    for (std::uint64_t number = 0; number < count; ++number) {
        const std::uint8_t fate = ledger->fates[number];
        const bool answered_well = (fate & answered) != 0 && (fate & seen) != 0;
        if ((fate & seen_twice) != 0 || ((fate & answered) != 0 && !answered_well)) ++lost;
        if ((fate & (answered | failed)) == 0) ++unknown;
    }
    // What was in flight when its client was killed is known to nobody.
    const std::uint64_t forgotten = (processes.killed - processes.killed_of[0]) * tasks_count;
    if (unknown > forgotten) lost += unknown - forgotten;
    return {.kills = processes.killed,
            .records = ledger->answers,
            .lost = lost,
            .left = folder.count(),
            .failure = processes.failure};
}
