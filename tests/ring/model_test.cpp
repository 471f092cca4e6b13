// SPDX-License-Identifier: MIT
//
// The ring's algorithm under a model checker, which chooses who runs next at every access and lets a load return any
// value that the memory model allows.
//
// A writer sends three records through a ring with room for one or two, so both sides have to sleep. Their bells are
// semaphores: a wake-up that is lost is a deadlock, which the checker reports. Data are plain variables of the
// checker: reading one that was not published, or overwriting one that is still read, is a race that it reports.
#include <weir/ipc/ring/records.hpp>

#include "support/catch.hpp"

#include <optional>
#include <ostream>
#include <streambuf>
#include <string>

// Last: its macros take the names of memory orders, and RL_INFO tells the checker where an access stands.
#include <relacy/relacy.hpp>

namespace {

using namespace weir::ipc::ring;

std::optional<Fence> left_out;   // the fence that this run does without
bool published_relaxed = false;  // a planted bug: the cursor is stored without release
bool asks_before_sleep =
    true;  // a planted bug if not: a side sleeps without being sure that the other does not

struct ModelAtomics {
    using Word = rl::atomic<std::uint32_t>;
    static std::uint32_t load_relaxed(const Word& word) noexcept {
        return word(RL_INFO).load(rl::mo_relaxed);
    }
    static std::uint32_t load_acquire(const Word& word) noexcept {
        return word(RL_INFO).load(rl::mo_acquire);
    }
    static void store_relaxed(Word& word, std::uint32_t value, Site) noexcept {
        word(RL_INFO).store(value, rl::mo_relaxed);
    }
    static void store_release(Word& word, std::uint32_t value, Site) noexcept {
        word(RL_INFO).store(value, published_relaxed ? rl::mo_relaxed : rl::mo_release);
    }
    static void fence(Fence which) noexcept {
        if (left_out != which) rl::atomic_thread_fence(rl::mo_seq_cst, RL_INFO);
    }

    struct Cell {
        rl::var<std::uint32_t> size;
        rl::var<std::uint32_t> mark;
    };
    using Data = Cell*;  // one for every eight bytes; payload is kept in `size`
    using ConstData = Cell*;
    static void write_header(Data data, std::uint32_t offset, RecordHeader header, Site) noexcept {
        data[offset / 8].size(RL_INFO) = header.size;
        data[offset / 8].mark(RL_INFO) = header.mark;
    }
    static RecordHeader read_header(ConstData data, std::uint32_t offset) noexcept {
        return {data[offset / 8].size(RL_INFO), data[offset / 8].mark(RL_INFO)};
    }
};

// Eight-byte records in a ring of 32 bytes: two fit.
constexpr std::uint32_t ring_bytes = 32;
constexpr std::uint32_t records_count = 3;

struct Sleepers : rl::test_suite<Sleepers, 2> {
    Words<ModelAtomics> words[2];
    ModelAtomics::Cell cells[ring_bytes / 8];
    rl::rl_HANDLE items = nullptr;
    rl::rl_HANDLE space = nullptr;

    void before() {
        for (auto& side : words) {
            side.cursor(RL_INFO).store(0, rl::mo_relaxed);
            side.epoch(RL_INFO).store(0, rl::mo_relaxed);
        }
        for (auto& cell : cells) {
            cell.size(RL_INFO) = 0;
            cell.mark(RL_INFO) = 0;
        }
        items = rl_CreateSemaphore(nullptr, 0, 1'000, nullptr);
        space = rl_CreateSemaphore(nullptr, 0, 1'000, nullptr);
    }
    void after() {
        rl::rl_CloseHandle(items, RL_INFO);
        rl::rl_CloseHandle(space, RL_INFO);
    }
    static void ring_bell(rl::rl_HANDLE bell) { rl::rl_ReleaseSemaphore(bell, 1, nullptr, RL_INFO); }
    static void sleep(rl::rl_HANDLE bell) { rl::rl_WaitForSingleObject(bell, rl::rl_INFINITE, RL_INFO); }

    void thread(unsigned which) {
        if (which == 0) {
            write();
        } else {
            read();
        }
    }
    void write() {
        RecordProducer<ModelAtomics> producer(words[0], words[1], cells, ring_bytes);
        for (std::uint32_t i = 0; i < records_count; ++i) {
            const std::uint32_t units = producer.needed(8);
            if (producer.need(units) != Look::ready) {
                if (asks_before_sleep && producer.peer_sleeps()) ring_bell(items);
                while (producer.announce(units) == Look::nothing) sleep(space);
            }
            cells[producer.payload_offset(8) / 8].size(RL_INFO) = 100 + i;
            producer.finish(8, 8);
            if (producer.publish_lightly()) ring_bell(items);
        }
        if (producer.peer_sleeps()) ring_bell(items);
    }
    void read() {
        RecordConsumer<ModelAtomics> consumer(words[1], words[0], cells, ring_bytes);
        for (std::uint32_t i = 0; i < records_count; ++i) {
            if (consumer.need(1) != Look::ready) {
                if (asks_before_sleep && consumer.peer_sleeps()) ring_bell(space);
                while (consumer.announce(1) == Look::nothing) sleep(items);
            }
            RecordConsumer<ModelAtomics>::Record record{};
            RL_ASSERT(consumer.take(record));
            RL_ASSERT(record.size == 8);
            RL_ASSERT(cells[record.offset / 8].size(RL_INFO) == 100 + i);
            if (consumer.publish_lightly()) ring_bell(space);
        }
        if (consumer.peer_sleeps()) ring_bell(space);
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

Verdict check(rl::scheduler_type_e search, rl::iteration_t iterations) {
    Report report;
    std::ostream said(&report);
    rl::test_params params;
    params.output_stream = &said;
    params.progress_stream = &said;
    params.search_type = search;
    params.context_bound = 3;
    params.iteration_count = iterations;
    rl::simulate<Sleepers>(params);
    return {params.test_result, report.text()};
}

// A thousand interleavings at random find a planted bug many times over.
constexpr rl::iteration_t iterations_count = 60'000;

}  // namespace

TEST_CASE("with both fences no interleaving loses a wake-up, a record or their order") {
    left_out.reset();
    published_relaxed = false;
    for (const auto search : {rl::sched_random, rl::sched_bound}) {
        const Verdict verdict = check(search, iterations_count);
        INFO(verdict.text);
        CHECK(verdict.result == rl::test_result_success);
    }
}

TEST_CASE("without the fence after publishing a wake-up is lost") {
    left_out = Fence::after_publish;
    published_relaxed = false;
    const Verdict verdict = check(rl::sched_random, iterations_count);
    INFO(verdict.text);
    CHECK(verdict.result == rl::test_result_deadlock);
}

TEST_CASE("without the fence after announcing a wake-up is lost") {
    left_out = Fence::after_announce;
    published_relaxed = false;
    const Verdict verdict = check(rl::sched_random, iterations_count);
    INFO(verdict.text);
    CHECK(verdict.result == rl::test_result_deadlock);
}

TEST_CASE("sides that sleep without asking, behind a fence, whether the other does leave it asleep") {
    left_out.reset();
    published_relaxed = false;
    asks_before_sleep = false;
    const Verdict verdict = check(rl::sched_random, iterations_count);
    asks_before_sleep = true;
    INFO(verdict.text);
    CHECK(verdict.result == rl::test_result_deadlock);
}

TEST_CASE("a cursor that is stored without release is a race") {
    left_out.reset();
    published_relaxed = true;
    const Verdict verdict = check(rl::sched_random, iterations_count);
    INFO(verdict.text);
    CHECK(verdict.result == rl::test_result_data_race);
}
