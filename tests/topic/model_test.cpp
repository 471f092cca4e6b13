// SPDX-License-Identifier: MIT
//
// The topic's algorithm under a model checker, which chooses who runs next at every access and lets a load return any
// value that the memory model allows.
//
// There are as few slots as can be, so that each is used again as soon as it may be. Samples are plain variables of the
// checker: overwriting one that is being read, or reading one that was not published, is a race that it reports. Bells
// are semaphores: a wake-up that is lost is a deadlock.
#include <weir/ipc/topic/entries.hpp>

#include "support/catch.hpp"

#include <optional>
#include <ostream>
#include <streambuf>
#include <string>

// Last: its macros take the names of memory orders, and RL_INFO tells the checker where an access stands.
#include <relacy/relacy.hpp>

namespace {

using namespace weir::ipc::topic;

struct Planted {
    std::optional<Fence> no_fence{};
    std::optional<Site> no_release{};  // stored relaxed
    bool no_second_look = false;
};
Planted planted;

struct ModelAtomics {
    using Word = rl::atomic<std::uint32_t>;
    using Long = rl::atomic<std::uint64_t>;
    template <class T>
    static T load_relaxed(const rl::atomic<T>& word) noexcept {
        return word(RL_INFO).load(rl::mo_relaxed);
    }
    template <class T>
    static T load_acquire(const rl::atomic<T>& word) noexcept {
        return word(RL_INFO).load(rl::mo_acquire);
    }
    static std::uint64_t load_again(const Long& word, std::uint64_t first) noexcept {
        return planted.no_second_look ? first : word(RL_INFO).load(rl::mo_relaxed);
    }
    template <class T>
    static void store_relaxed(rl::atomic<T>& word, std::type_identity_t<T> value, Site) noexcept {
        word(RL_INFO).store(value, rl::mo_relaxed);
    }
    template <class T>
    static void store_release(rl::atomic<T>& word, std::type_identity_t<T> value, Site site) noexcept {
        word(RL_INFO).store(value, planted.no_release == site ? rl::mo_relaxed : rl::mo_release);
    }
    static void fence(Fence which) noexcept {
        if (planted.no_fence != which) rl::atomic_thread_fence(rl::mo_seq_cst, RL_INFO);
    }
};

// The publisher fills one slot, the entries hold `depth`, and a subscriber pins one.
template <std::uint32_t depth, std::uint32_t subscribers>
struct Memory {
    static constexpr std::uint32_t slots = depth + 1 + subscribers;

    PublisherWords<ModelAtomics> publisher;
    SubscriberWords<ModelAtomics> subscriber[subscribers];
    Entry<ModelAtomics> entries[depth];
    rl::var<std::uint32_t> samples[slots];
    std::uint32_t pool_words[SlotPool::words_of(slots)];
    rl::rl_HANDLE news[subscribers];
    rl::rl_HANDLE space = nullptr;

    void before() {
        publisher.cursor(RL_INFO).store(0, rl::mo_relaxed);
        publisher.epoch(RL_INFO).store(0, rl::mo_relaxed);
        for (auto& words : subscriber) {
            words.epoch(RL_INFO).store(0, rl::mo_relaxed);
            words.position(RL_INFO).store(0, rl::mo_relaxed);
            words.pins[0](RL_INFO).store(0, rl::mo_relaxed);
        }
        for (auto& entry : entries) {
            entry.number(RL_INFO).store(0, rl::mo_relaxed);
            entry.slot(RL_INFO).store(0, rl::mo_relaxed);
        }
        for (auto& sample : samples) sample(RL_INFO) = 0;
        for (auto& word : pool_words) word = 0;
        for (auto& bell : news) bell = rl_CreateSemaphore(nullptr, 0, 1'000, nullptr);
        space = rl_CreateSemaphore(nullptr, 0, 1'000, nullptr);
    }
    void after() {
        for (auto& bell : news) rl::rl_CloseHandle(bell, RL_INFO);
        rl::rl_CloseHandle(space, RL_INFO);
    }
    static void ring_bell(rl::rl_HANDLE bell) { rl::rl_ReleaseSemaphore(bell, 1, nullptr, RL_INFO); }
    static void sleep(rl::rl_HANDLE bell) { rl::rl_WaitForSingleObject(bell, rl::rl_INFINITE, RL_INFO); }

    void publish(Writer<ModelAtomics>& writer, SlotPool& pool, Peer<ModelAtomics>* peers) {
        if (pool.empty()) {
            reclaim<ModelAtomics>(pool, [&](SlotPool& marked) {
                for (std::uint32_t i = 0; i < subscribers; ++i) RL_ASSERT(peers[i].keep_pins(marked, 1));
            });
        }
        RL_ASSERT(!pool.empty());
        const std::uint32_t slot = pool.take();
        samples[slot](RL_INFO) = 100 + static_cast<std::uint32_t>(writer.head());
        const std::uint32_t gone = writer.publish(slot);
        if (gone != no_slot) pool.retire(gone);
        ring_sleepers(peers);
    }
    void ring_sleepers(Peer<ModelAtomics>* peers) {
        for (std::uint32_t i = 0; i < subscribers; ++i) {
            if (peers[i].asleep()) ring_bell(news[i]);
        }
    }
    void make_sure(Peer<ModelAtomics>* peers) {
        ModelAtomics::fence(Fence::after_tell);
        ring_sleepers(peers);
    }
    [[nodiscard]] Reader<ModelAtomics> reader(std::uint32_t which) {
        return Reader<ModelAtomics>(subscriber[which], publisher, entries,
                                    {.depth = depth, .slots = slots, .keep = depth});
    }
};

// Nobody waits for anybody: samples that were not taken in time are missed.
template <std::uint32_t depth, std::uint32_t subscribers, std::uint32_t count>
struct Overwriting : rl::test_suite<Overwriting<depth, subscribers, count>, int{1 + subscribers}> {
    Memory<depth, subscribers> memory;

    void before() { memory.before(); }
    void after() { memory.after(); }
    void thread(unsigned which) {
        if (which == 0) {
            publish_all();
        } else {
            read_all(which - 1);
        }
    }
    void publish_all() {
        Writer<ModelAtomics> writer(memory.publisher, memory.entries, depth);
        SlotPool pool(memory.pool_words, memory.slots);
        Peer<ModelAtomics> peers[subscribers];
        for (std::uint32_t i = 0; i < subscribers; ++i)
            peers[i] = Peer<ModelAtomics>(memory.subscriber[i], 0);
        for (std::uint32_t i = 0; i < count; ++i) memory.publish(writer, pool, peers);
        memory.make_sure(peers);
    }
    void read_all(std::uint32_t which) {
        Reader<ModelAtomics> reader = memory.reader(which);
        Sleeper<ModelAtomics> sleeper(memory.subscriber[which].epoch);
        std::uint64_t next = 0;
        while (next < count) {
            Taken taken{};
            Found found = reader.take(0, taken);
            if (found == Found::nothing) {
                sleeper.announce();
                std::ignore = reader.look();
                found = reader.take(0, taken);
                if (found == Found::nothing) memory.sleep(memory.news[which]);
                sleeper.withdraw();
            }
            RL_ASSERT(found != Found::corrupt);
            if (found == Found::nothing) continue;
            RL_ASSERT(taken.sequence == next + taken.missed);
            RL_ASSERT(memory.samples[taken.slot](RL_INFO) == 100 + taken.sequence);
            reader.release(taken.pin);
            next = taken.sequence + 1;
        }
    }
};

// The publisher waits for space, so nothing is ever missed.
template <std::uint32_t depth, std::uint32_t count>
struct Waiting : rl::test_suite<Waiting<depth, count>, 2> {
    Memory<depth, 1> memory;

    void before() { memory.before(); }
    void after() { memory.after(); }
    void thread(unsigned which) {
        if (which == 0) {
            publish_all();
        } else {
            read_all();
        }
    }
    void publish_all() {
        Writer<ModelAtomics> writer(memory.publisher, memory.entries, depth);
        SlotPool pool(memory.pool_words, memory.slots);
        Peer<ModelAtomics> peer(memory.subscriber[0], 0);
        Sleeper<ModelAtomics> sleeper(memory.publisher.epoch);
        const auto has_room = [&] {
            RL_ASSERT(peer.look(writer.head()));
            return writer.head() < peer.position() + depth;
        };
        for (std::uint32_t i = 0; i < count; ++i) {
            if (!has_room()) {
                memory.make_sure(&peer);
                for (;;) {
                    sleeper.announce();
                    if (has_room()) break;
                    memory.sleep(memory.space);
                }
                sleeper.withdraw();
            }
            memory.publish(writer, pool, &peer);
        }
        memory.make_sure(&peer);
    }
    void read_all() {
        Reader<ModelAtomics> reader = memory.reader(0);
        Sleeper<ModelAtomics> sleeper(memory.subscriber[0].epoch);
        Waker<ModelAtomics> publisher(memory.publisher.epoch);
        for (std::uint64_t next = 0; next < count;) {
            Taken taken{};
            Found found = reader.take(0, taken);
            if (found == Found::nothing) {
                ModelAtomics::fence(Fence::after_tell);
                if (publisher.asleep()) memory.ring_bell(memory.space);
                sleeper.announce();
                std::ignore = reader.look();
                found = reader.take(0, taken);
                if (found == Found::nothing) memory.sleep(memory.news[0]);
                sleeper.withdraw();
            }
            RL_ASSERT(found != Found::corrupt);
            if (found == Found::nothing) continue;
            RL_ASSERT(taken.missed == 0 && taken.sequence == next);
            if (publisher.asleep()) memory.ring_bell(memory.space);
            RL_ASSERT(memory.samples[taken.slot](RL_INFO) == 100 + taken.sequence);
            reader.release(taken.pin);
            ++next;
        }
        ModelAtomics::fence(Fence::after_tell);
        if (publisher.asleep()) memory.ring_bell(memory.space);
    }
};

struct Verdict {
    rl::test_result_e result;
    std::string text;
};

// The checker takes over operator new, so its report goes into memory that is already there.
class Report : public std::streambuf {
public:
    Report() { setp(text_, text_ + sizeof(text_)); }
    [[nodiscard]] std::string text() const { return {pbase(), pptr()}; }

private:
    char text_[16'384];
};

// At random `iterations` times, or every interleaving that takes the processor from a thread at most `switches` times.
template <class Suite>
Verdict check(std::optional<unsigned> switches, rl::iteration_t iterations, const Planted& plant = {}) {
    planted = plant;
    Report report;
    std::ostream said(&report);
    rl::test_params params;
    params.output_stream = &said;
    params.progress_stream = &said;
    params.search_type = switches ? rl::sched_bound : rl::sched_random;
    params.context_bound = switches.value_or(0);
    params.iteration_count = iterations;
    rl::simulate<Suite>(params);
    planted = {};
    return {params.test_result, report.text()};
}

constexpr rl::iteration_t iterations_count = 20'000;

template <class Suite>
void check_sound(std::optional<unsigned> switches = std::nullopt) {
    const Verdict verdict = check<Suite>(switches, iterations_count);
    INFO(verdict.text);
    CHECK(verdict.result == rl::test_result_success);
}
enum class Finds : std::uint8_t { broken_sample, lost_wake_up };
template <class Suite>
void check_finds(Finds expected, const Planted& plant) {
    const Verdict verdict = check<Suite>(std::nullopt, 10 * iterations_count, plant);
    INFO(verdict.text);
    const bool asleep = verdict.result == rl::test_result_deadlock;
    const bool broken =
        verdict.result == rl::test_result_data_race || verdict.result == rl::test_result_user_assert_failed;
    CHECK((expected == Finds::lost_wake_up ? asleep : broken));
}

}  // namespace

TEST_CASE("no interleaving overwrites a sample that is read, loses a wake-up, or miscounts what was missed") {
    check_sound<Overwriting<1, 1, 5>>();
    check_sound<Overwriting<1, 1, 4>>(1);
    check_sound<Overwriting<2, 1, 5>>();
    check_sound<Overwriting<1, 2, 5>>();
}

TEST_CASE("without either fence around the pins, or without the second look, samples are overwritten") {
    using Suite = Overwriting<1, 1, 5>;
    check_finds<Suite>(Finds::broken_sample, {.no_fence = Fence::after_pin});
    check_finds<Suite>(Finds::broken_sample, {.no_fence = Fence::after_unlink});
    check_finds<Suite>(Finds::broken_sample, {.no_second_look = true});
}

TEST_CASE("each release that orders the life of a sample is needed") {
    using Suite = Overwriting<1, 1, 5>;
    check_finds<Suite>(Finds::broken_sample, {.no_release = Site::link_slot});
    check_finds<Suite>(Finds::broken_sample, {.no_release = Site::link});
    check_finds<Suite>(Finds::broken_sample, {.no_release = Site::unpin});
}

TEST_CASE("no interleaving lets a publisher that waits for its subscriber lose a wake-up or a sample") {
    check_sound<Waiting<1, 4>>();
    check_sound<Waiting<1, 3>>(2);
    check_sound<Waiting<2, 4>>();
}

TEST_CASE("without the fence after telling, or the one after announcing, a wake-up is lost") {
    check_finds<Waiting<1, 4>>(Finds::lost_wake_up, {.no_fence = Fence::after_tell});
    check_finds<Waiting<1, 4>>(Finds::lost_wake_up, {.no_fence = Fence::after_announce});
    check_finds<Overwriting<1, 1, 5>>(Finds::lost_wake_up, {.no_fence = Fence::after_tell});
    check_finds<Overwriting<1, 1, 5>>(Finds::lost_wake_up, {.no_fence = Fence::after_announce});
}
