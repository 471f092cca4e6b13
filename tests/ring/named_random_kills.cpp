// SPDX-License-Identifier: MIT
//
// A writer and a reader of a named ring, of which one or both are killed. The records are numbered. Both work in bursts, so
// that each sleeps often. *Lost* is a gap, for whichever reader; a record that its reader died with comes again.
#include "support/random_kills.hpp"

#include <weir/ipc/ring/named_ring.hpp>
#include <weir/weir.hpp>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>
#include <random>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {
namespace {

using namespace std::chrono_literals;
using Writer = ipc::NamedRingWriter<std::uint64_t>;
using Reader = ipc::NamedRingReader<std::uint64_t>;

constexpr ipc::RingName name{"killed"};
constexpr std::uint32_t ring_slots = 64;
constexpr std::uint32_t batch_max = 8;  // records that a reader releases together, and that may so come again
constexpr Budget budget{.frame_bytes = 32 * 1024, .submissions = 8, .descriptors = 8, .links = 4};
constexpr auto patience = 20s;

struct Ledger {
    std::atomic<std::uint64_t> next{0};  // that no reader has seen
    std::atomic<std::uint64_t> read{0};
    std::atomic<std::uint64_t> lost{0};
    std::atomic<bool> failed{false};  // a side came to an end by itself
};

Task<> write_bursts(Scheduler& scheduler, const ipc::NamedRingOptions& options, std::uint64_t seed) {
    std::minstd_rand random(static_cast<std::uint32_t>(seed));
    WEIR_CO_TRY(auto ring, Writer::open(scheduler, name, options));
    for (std::uint64_t i = ring.position();;) {
        for (std::uint64_t burst = random() % 300; burst > 0; --burst, ++i) {
            WEIR_CO_TRY(auto slot, ring.reserve().within(patience));
            *slot = i;
            slot.commit();
        }
        WEIR_CO_CHECK(sleep_for(std::chrono::microseconds(random() % 100)));
    }
}

Task<> read_bursts(Scheduler& scheduler, const ipc::NamedRingOptions& options, Ledger& ledger,
                   std::uint64_t seed) {
    std::minstd_rand random(static_cast<std::uint32_t>(seed));
    WEIR_CO_TRY(auto ring, Reader::open(scheduler, name, options));
    std::uint64_t expected = ring.position();
    for (;;) {
        {
            const auto most = static_cast<std::uint32_t>(1 + random() % batch_max);
            WEIR_CO_TRY(auto some, ring.next_some(most).within(patience));
            for (std::uint32_t i = 0; i < some.size(); ++i, ++expected) {
                const std::uint64_t next = ledger.next;
                if (some[i] != expected || some[i] > next || some[i] + batch_max < next) ++ledger.lost;
                if (some[i] >= next) ledger.next = some[i] + 1;
                ++ledger.read;
            }
        }
        if (random() % 64 == 0) WEIR_CO_CHECK(sleep_for(std::chrono::microseconds(random() % 100)));
    }
}

class Contest {
public:
    explicit Contest(std::uint64_t seed) : random_(seed) {
        if (::mkdtemp(path_) == nullptr) std::abort();
        directory_ = *ipc::RuntimeDirectory::at(path_);
        void* const memory =
            ::mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ledger = ::new (memory) Ledger();
    }
    Contest(const Contest&) = delete;
    Contest& operator=(const Contest&) = delete;
    ~Contest() {
        for (const bool writes : {true, false}) kill(writes);
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
        ::munmap(ledger, sizeof(Ledger));
    }

    void start(bool writes) {
        const std::uint64_t seed = random_();
        const pid_t child = ::fork();
        if (child != 0) {
            pid(writes) = child;
            return;
        }
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        auto scheduler = std::make_unique<StaticScheduler<budget>>();
        const auto backend = seed % 3 == 0 ? BackendChoice::epoll : BackendChoice::automatic;
        if (!scheduler->start({.backend = backend, .environment = false})) ::_exit(2);
        const auto outcome = writes ? scheduler->run(write_bursts(*scheduler, options(), seed))
                                    : scheduler->run(read_bursts(*scheduler, options(), *ledger, seed));
        if (!outcome) report(outcome.error());
        ledger->failed = true;
        ::_exit(1);
    }
    void kill(bool writes) {
        if (pid(writes) <= 0) return;
        ::kill(pid(writes), SIGKILL);
        ::waitpid(std::exchange(pid(writes), 0), nullptr, 0);
    }
    // False: nothing moved for so long.
    [[nodiscard]] bool wait_for(std::uint64_t records) const {
        const auto until = std::chrono::steady_clock::now() + patience;
        while (ledger->read < records) {
            if (ledger->failed || std::chrono::steady_clock::now() > until) return false;
            ::usleep(100);
        }
        return true;
    }
    // What both left is read to its end, and the ring removed.
    Result<void> finish() {
        auto scheduler = std::make_unique<StaticScheduler<budget>>();
        const auto read =
            scheduler->run([](Scheduler& of, const ipc::NamedRingOptions& how, Ledger& book) -> Task<> {
                WEIR_CO_TRY(auto writer, Writer::open(of, name, how));
                WEIR_CO_TRY(auto reader, Reader::open(of, name, how));
                for (std::uint64_t i = reader.position(); i < writer.position(); ++i) {
                    WEIR_CO_TRY(auto record, reader.next().within(patience));
                    if (*record != i) ++book.lost;
                }
            }(*scheduler, options(), *ledger));
        if (!read) return read;
        return ipc::remove_named_ring(directory_, name);
    }
    [[nodiscard]] std::uint64_t files() const {
        std::uint64_t count = 0;
        for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(path_)) ++count;
        return count;
    }
    std::uint64_t draw() { return random_(); }

    Ledger* ledger;

private:
    [[nodiscard]] ipc::NamedRingOptions options() const {
        return {.slots = ring_slots, .access = {.directory = &directory_}};
    }
    pid_t& pid(bool writes) { return writes ? writer_ : reader_; }

    char path_[32] = "/tmp/weir-killed-XXXXXX";
    ipc::RuntimeDirectory directory_ = *ipc::RuntimeDirectory::at("/");
    std::mt19937_64 random_;
    pid_t writer_ = 0;
    pid_t reader_ = 0;
};

}  // namespace

RandomKills kill_named_ring_processes(std::uint64_t kills, std::uint64_t between) {
    RandomKills result;
    Contest contest(1);
    contest.start(true);
    contest.start(false);
    std::uint64_t at_once = 1;
    while (result.kills < kills && result.failure.empty()) {
        if (!contest.wait_for(contest.ledger->read + std::exchange(at_once, 0) * between)) {
            result.failure = contest.ledger->failed ? "a side failed" : "a side sleeps for ever";
            break;
        }
        ::usleep(static_cast<useconds_t>(contest.draw() % 500));
        // One, the other, or both at once.
        const std::uint64_t which = contest.draw() % 5;
        for (const bool writes : {true, false}) {
            if (which != 4 && (which % 2 == 0) != writes) continue;
            contest.kill(writes);
            ++result.kills;
            ++at_once;
            contest.start(writes);
        }
    }
    for (const bool writes : {true, false}) contest.kill(writes);
    const auto finished = contest.finish();
    if (!finished && result.failure.empty()) {
        char text[200];
        result.failure = std::string(finished.error().message(text));
    }
    result.records = contest.ledger->read;
    result.lost = contest.ledger->lost;
    result.left = contest.files();
    return result;
}

}  // namespace weir::test
