// SPDX-License-Identifier: MIT
#include "ring/named_kill_points.hpp"

#include <weir/ipc/ring/named_ring.hpp>
#include <weir/weir.hpp>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using Writer = ipc::NamedRingWriter<std::uint64_t>;
using Reader = ipc::NamedRingReader<std::uint64_t>;

constexpr ipc::RingName name{"traced"};
constexpr Budget budget{.frame_bytes = 16 * 1024, .submissions = 8, .descriptors = 8, .links = 4};
constexpr std::uint64_t ring_slots = 8;
constexpr std::uint64_t made_before = 5;  // records, for those who find a ring
constexpr std::uint64_t records_count = 12;

// One for each process: what a child inherits of its parent's is not its own.
struct Own {
    Own() : scheduler(std::make_unique<StaticScheduler<budget>>()) {
        if (!scheduler->start({.backend = BackendChoice::epoll, .environment = false})) std::abort();
    }
    std::unique_ptr<StaticScheduler<budget>> scheduler;
};

class Place {
public:
    Place() {
        if (::mkdtemp(path_) == nullptr) std::abort();
        directory = *ipc::RuntimeDirectory::at(path_);
        void* const memory = ::mmap(nullptr, sizeof(killing::Ledger), PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ledger = ::new (memory) killing::Ledger();
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
        ::munmap(ledger, sizeof(killing::Ledger));
    }
    [[nodiscard]] bool empty() const { return std::filesystem::is_empty(path_); }
    [[nodiscard]] ipc::NamedRingOptions options() const {
        return {.slots = ring_slots, .access = {.directory = &directory}};
    }

private:
    char path_[32] = "/tmp/weir-traced-XXXXXX";

public:
    ipc::RuntimeDirectory directory = *ipc::RuntimeDirectory::at("/");
    killing::Ledger* ledger;
};

// --- what a child does until it is killed; each record is its own number

Task<> write_some(Scheduler& scheduler, const Place& place, std::uint64_t until) {
    WEIR_CO_TRY(auto ring, Writer::open(scheduler, name, place.options()));
    for (std::uint64_t i = ring.position(); i < until; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve());
        *slot = i;
        slot.commit();
        place.ledger->finished = static_cast<std::uint32_t>(i + 1);
    }
}
Task<> read_some(Scheduler& scheduler, const Place& place) {
    WEIR_CO_TRY(auto ring, Reader::open(scheduler, name, place.options()));
    for (std::uint64_t i = 0; i < 3; ++i) {
        WEIR_CO_TRY(auto record, ring.try_next());
        record.release();
        place.ledger->finished = ring.position();
    }
}
Task<> remove_it(Scheduler&, const Place& place) {
    const auto removed = ipc::remove_named_ring(place.directory, name);
    if (!removed && removed.error() != Errc::not_found) co_return co_await fail(removed.error());
}

// --- and how it is looked at afterwards

Task<> read_all(Scheduler&, Reader& ring, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto record, ring.next().within(20s));
        if (*record != i)
            co_return co_await fail(Errc::corrupt, "a record is lost or comes again", i, *record);
    }
    const auto more = ring.try_next();
    if (more || more.error() != Errc::would_block) co_return co_await fail(Errc::corrupt, "too many records");
}
Task<> write_to(Scheduler&, Writer& ring, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve().within(20s));
        *slot = i;
        slot.commit();
    }
}
// `written` and `read`: what the dead said that they had committed and released; one more is possible.
Task<> go_on(Scheduler& scheduler, const Place& place, std::uint64_t written, std::uint64_t read) {
    {
        WEIR_CO_TRY(auto writer, Writer::open(scheduler, name, place.options()));
        WEIR_CO_TRY(auto reader, Reader::open(scheduler, name, place.options()));
        const std::uint64_t committed = writer.position();
        const std::uint64_t released = reader.position();
        if (committed < written || committed > written + 1)
            co_return co_await fail(Errc::corrupt, "the writer would go on elsewhere", written, committed);
        if (released < read || released > read + 1)
            co_return co_await fail(Errc::corrupt, "the reader would go on elsewhere", read, released);
        WEIR_CO_CHECK(all_of(write_to(scheduler, writer, committed, records_count),
                             read_all(scheduler, reader, released, records_count)));
    }
    WEIR_CO_CHECK(ipc::remove_named_ring(place.directory, name));
    if (!place.empty()) co_return co_await fail(Errc::corrupt, "something is left behind");
}

struct Script {
    const char* what;
    Task<> (*run)(Scheduler&, const Place&);
    bool finds_ring;
    bool writes;
};
constexpr Script scripts[] = {
    {"makes and writes", [](Scheduler& of, const Place& place) { return write_some(of, place, 4); }, false,
     true},
    {"writes", [](Scheduler& of, const Place& place) { return write_some(of, place, 8); }, true, true},
    {"reads", read_some, true, false},
    {"removes", remove_it, true, false},
};

// --- tracing

enum class Stop : std::uint8_t { call, instruction };

pid_t begin(const Script& script, const Place& place) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const Own own;
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0) ::_exit(77);
    ::raise(SIGSTOP);
    const auto outcome = own.scheduler->run(script.run(*own.scheduler, place));
    ::_exit(outcome ? 0 : 1);
}

// Lets the child go on for `stops` of them and kills it: true; false if it came to its end before, with its status.
bool kill_after(pid_t child, Stop stop, std::uint64_t stops, int& status) {
    if (::waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) return false;
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
    for (std::uint64_t i = 0; i < stops; ++i) {
        ::ptrace(stop == Stop::call ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, child, nullptr, nullptr);
        if (::waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) return false;
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return true;
}

// How many there are, in a child that is not killed. 0: it did not succeed.
std::uint64_t count_of(const Script& script, const Place& place, Stop stop) {
    const pid_t child = begin(script, place);
    int status = 0;
    std::uint64_t stops = 0;
    if (::waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) return 0;
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
    for (;; ++stops) {
        ::ptrace(stop == Stop::call ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, child, nullptr, nullptr);
        if (::waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status)) break;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? stops : 0;
}

class Trial {
public:
    explicit Trial(KillCounts& counts) : counts_(counts) {}

    std::uint64_t count(const Script& script, Stop stop) {
        const Place place;
        prepare(script, place);
        const std::uint64_t stops = count_of(script, place, stop);
        if (stops == 0) fail(script, 0, "it does not succeed");
        return stops;
    }

    // Kills one after `stops`, a second one that begins with what that left after `again`, and looks what a third finds.
    void kill(const Script& script, Stop stop, std::uint64_t stops, std::uint64_t again) {
        const Place place;
        prepare(script, place);
        for (const std::uint64_t each : {stops, again}) {
            if (each == 0) continue;
            int status = 0;
            const bool killed = kill_after(begin(script, place), stop, each, status);
            counts_.points += killed ? 1 : 0;
            if (!killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) fail(script, each, "it fails");
            if (killed) ++deaths_;
        }
        const std::uint32_t finished = place.ledger->finished;
        std::uint64_t written = script.finds_ring ? made_before : 0;
        if (script.writes && finished > written) written = finished;
        if (removed_by(script, place)) written = 0;
        const std::uint64_t read = script.writes ? 0 : finished;
        const auto outcome = own_.scheduler->run(go_on(*own_.scheduler, place, written, read));
        if (outcome) {
            counts_.survived += deaths_;
        } else {
            char text[200];
            fail(script, stops, std::string(outcome.error().message(text)));
        }
        deaths_ = 0;
    }

private:
    void prepare(const Script& script, const Place& place) {
        if (!script.finds_ring) return;
        if (!own_.scheduler->run(write_some(*own_.scheduler, place, made_before))) std::abort();
        place.ledger->finished = 0;
    }
    // It was removed, or it was not: both are well.
    static bool removed_by(const Script& script, const Place& place) {
        if (script.run != remove_it) return false;
        const auto there = ipc::named_ring_stat(place.directory, name);
        return !there && there.error() == Errc::not_found;
    }
    void fail(const Script& script, std::uint64_t stops, const std::string& why) {
        if (counts_.first_failure.empty())
            counts_.first_failure = std::string(script.what) + ", at " + std::to_string(stops) + ": " + why;
    }

    KillCounts& counts_;
    Own own_;
    std::uint32_t deaths_ = 0;
};

}  // namespace

bool may_trace_children() {
    const pid_t child = ::fork();
    if (child == 0) {
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0) ::_exit(77);
        ::raise(SIGSTOP);
        ::_exit(0);
    }
    int status = 0;
    bool traced = ::waitpid(child, &status, 0) == child && WIFSTOPPED(status);
    if (traced)
        traced = ::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0 &&
                 ::waitpid(child, &status, 0) == child;
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return traced;
}

KillCounts kill_named_rings_at_calls() {
    KillCounts counts;
    Trial trial(counts);
    for (const Script& script : scripts) {
        const std::uint64_t calls = trial.count(script, Stop::call);
        for (std::uint64_t k = 1; k <= calls; ++k) trial.kill(script, Stop::call, k, 1 + k * 7 % calls);
    }
    return counts;
}

KillCounts kill_named_rings_anywhere(std::uint32_t kills, std::uint64_t seed) {
    KillCounts counts;
    Trial trial(counts);
    std::mt19937_64 random(seed);
    std::array<std::uint64_t, std::size(scripts)> instructions{};
    for (std::size_t i = 0; i < std::size(scripts); ++i)
        instructions[i] = trial.count(scripts[i], Stop::instruction);
    while (counts.points < kills && counts.first_failure.empty()) {
        const std::size_t which = random() % std::size(scripts);
        trial.kill(scripts[which], Stop::instruction, 1 + random() % instructions[which], 0);
    }
    return counts;
}

}  // namespace weir::test
