// SPDX-License-Identifier: MIT
//
// usage: service_kills KILLS
//
// A server and two clients with four calls in flight each. One of the three is killed (SIGKILL) at random, and started
// again, whenever a thousand more calls were answered. Calls are numbered, and everybody writes down, in memory that
// outlives them all, what became of each. Prints
//
//     random kills N, lost 0, left 0
//
// *Lost* is a call that the server saw twice, one that was answered and never seen, and one that a client which was not
// killed has forgotten. *Left* is what lies in the runtime directory afterwards.
#include <weir/ipc/service/service.hpp>

#include <weir/coro/join.hpp>
#include <weir/coro/sleep.hpp>
#include <weir/scheduler/scheduler.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
constexpr std::uint64_t between_kills = 1'000;
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
    ipc::ServiceClientOptions options{.reconnect = ipc::ServiceClientOptions::Reconnect::await};
    options.link.directory = directory;
    for (;;) {
        // A client that died a moment ago may still have its place.
        auto opened = co_await Numbers::Client::open(on, name, options).within(10s);
        if (!opened && opened.error() == Errc::no_place) {
            WEIR_CO_CHECK(sleep_for(1ms));
            continue;
        }
        WEIR_CO_TRY(auto client, std::move(opened));
        WEIR_CO_CHECK(
            all_of(call_on(on, client), call_on(on, client), call_on(on, client), call_on(on, client)));
        co_return;
    }
}

pid_t start(std::size_t role, bool epoll) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const auto started =
        scheduler.start({.backend = epoll ? BackendChoice::epoll : BackendChoice::automatic});
    if (!started) ::_exit(2);
    const auto outcome = scheduler.run(role == 0 ? serve(scheduler) : call_all(scheduler));
    if (outcome) ::_exit(0);
    char text[200];
    outcome.error().message(text);
    std::fprintf(stderr, "%s: %s\n", role == 0 ? "server" : "client", text);
    ::_exit(1);
}

// Until so many calls were answered; false if nothing happens any more.
bool wait_for_answers(std::uint64_t wanted) {
    std::uint64_t last = ledger->answers;
    for (int quiet_ms = 0; ledger->answers < wanted; ++quiet_ms) {
        const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
        ::nanosleep(&pause, nullptr);
        const std::uint64_t now = ledger->answers;
        if (now != last) quiet_ms = 0;
        last = now;
        if (quiet_ms > 60'000) return false;
    }
    return true;
}

void* shared_memory(std::size_t size) {
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("mmap");
        std::exit(2);
    }
    return memory;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const auto kills = static_cast<std::uint64_t>(std::atoll(argv[1]));
    char folder[] = "/tmp/weir-kills-XXXXXX";
    if (::mkdtemp(folder) == nullptr) return 2;
    const auto found = ipc::RuntimeDirectory::at(folder);
    if (!found) return 2;
    directory = &*found;
    ledger = ::new (shared_memory(sizeof(Ledger))) Ledger;
    ledger->size = (kills + 2) * between_kills * 200;
    ledger->fates =
        static_cast<std::atomic<std::uint8_t>*>(shared_memory(static_cast<std::size_t>(ledger->size)));

    std::mt19937 random(11);
    std::array<pid_t, 1 + clients_count> processes{};
    std::uint32_t started = 0;
    for (std::size_t role = 0; role < processes.size(); ++role)
        processes[role] = start(role, ++started % 2 == 0);
    std::uint64_t killed = 0;
    bool stalled = false;
    std::uint64_t clients_killed = 0;
    while (killed < kills) {
        stalled = stalled || !wait_for_answers(ledger->answers + between_kills);
        if (stalled) break;
        const std::size_t role = random() % processes.size();
        const timespec pause{.tv_sec = 0, .tv_nsec = static_cast<long>(random() % 1'000'000)};
        ::nanosleep(&pause, nullptr);
        ::kill(processes[role], SIGKILL);
        int status = 0;
        ::waitpid(processes[role], &status, 0);
        if (!WIFSIGNALED(status)) stalled = true;  // it had ended by itself
        ++killed;
        if (role != 0) ++clients_killed;
        processes[role] = start(role, ++started % 2 == 0);
    }
    stalled = stalled || !wait_for_answers(ledger->answers + between_kills);
    if (stalled) std::fprintf(stderr, "nothing is answered any more\n");
    // The clients first, so that each call of theirs comes to its end.
    ledger->enough = true;
    bool ended_well = !stalled;
    for (std::size_t role = processes.size(); role-- > 0;) {
        if (stalled) ::kill(processes[role], SIGKILL);
        int status = 0;
        ::waitpid(processes[role], &status, 0);
        ended_well = ended_well && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }

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
    if (unknown > clients_killed * tasks_count) lost += unknown - clients_killed * tasks_count;
    std::uint64_t left = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::fprintf(stderr, "left: %s\n", entry.path().c_str());
        ++left;
    }
    std::filesystem::remove_all(folder);
    std::printf("random kills %llu, lost %llu, left %llu\n", static_cast<unsigned long long>(killed),
                static_cast<unsigned long long>(lost), static_cast<unsigned long long>(left));
    const bool passed = ended_well && lost == 0 && left == 0;
    if (const char* const suite = std::getenv("WEIR_SUITE"); suite != nullptr)
        std::printf("suite %s: %d passed, %d failed, 0 skipped\n", suite, passed ? 1 : 0, passed ? 0 : 1);
    return passed ? 0 : 1;
}
