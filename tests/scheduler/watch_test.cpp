// SPDX-License-Identifier: MIT
#include <weir/weir.hpp>

#include "support/child.hpp"
#include "support/skip.hpp"

#include "program.hpp"

#include <random>
#include <sched.h>
#include <thread>

using namespace std::chrono_literals;
using weir::Errc;
using weir::Instant;
using weir::MonotonicClock;
using weir::Scheduler;
using weir::Spinner;
using weir::Start;
using weir::Task;
using weir::test::make_scheduler;
using weir::test::on_simulated;

namespace {

/// What a writing thread and the scheduler's thread share.
struct Shared {
    weir::Watch::Word word{0};
    std::atomic<bool> asleep{false};
    std::atomic<std::uint32_t> taken{0};
    weir::Remote bell;
    std::atomic<std::uint32_t> rings{0};

    void write(std::uint32_t value) noexcept {
        word.store(value, std::memory_order_release);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        // The announcement stands until the sleeper takes it back: one taken back here, late, for a word that it had
        // found by itself would be missing for the next.
        if (!asleep.load()) return;
        rings.fetch_add(1);
        bell.post();
    }
};

/// Awaits that the word is not `seen`; its value then.
class Change : public weir::Awaitable<Change> {
public:
    using Outcome = weir::Result<std::uint32_t>;
    Change(Shared& shared, std::uint32_t seen) noexcept : shared_(&shared), seen_(seen) {}

    class Wait : public weir::Leaf, weir::Watch {
    public:
        explicit Wait(Change&& change) noexcept
            : Leaf(kind_of_wait, stopped), shared_(*change.shared_), seen_(change.seen_) {}
        bool start(const Start& start) noexcept {
            if (shared_.word.load(std::memory_order_acquire) != seen_) return true;
            begin(start);
            set(kind_of_watch, shared_.word, seen_);
            static_cast<Scheduler&>(start.context).watch(*this);
            return false;
        }
        void refuse(Errc code) noexcept { refused_ = code; }
        Outcome take() noexcept {
            if (refused_) return weir::failure(*refused_, "change");
            return shared_.word.load(std::memory_order_acquire);
        }

    private:
        static void changed(Watch& watch) noexcept {
            auto& self = static_cast<Wait&>(watch);
            self.shared_.asleep.store(false);
            watch.unlink();
            self.complete();
        }
        static void sleeps(Watch& watch) noexcept {
            auto& self = static_cast<Wait&>(watch);
            self.shared_.asleep.store(true);
            std::atomic_thread_fence(std::memory_order_seq_cst);
            watch.look();
        }
        static void stopped(weir::Stoppable& stoppable) noexcept {
            auto& self = static_cast<Wait&>(static_cast<Leaf&>(stoppable));
            static_cast<Watch&>(self).unlink();
            self.refused_ = Errc::cancelled;
            self.complete();
        }
        static constexpr weir::Pending::Kind kind_of_wait{"change of a word", nullptr};
        static constexpr Watch::Kind kind_of_watch{changed, sleeps};

        Shared& shared_;
        std::uint32_t seen_;
        std::optional<Errc> refused_;
    };

private:
    Shared* shared_;
    std::uint32_t seen_;
};

Task<> hears(Scheduler&, Shared& shared) {
    for (;;) WEIR_CO_CHECK(shared.bell.wait());  // it looks at the words after every wait
}
Task<> takes(Scheduler&, Shared& shared, std::uint32_t count) {
    for (std::uint32_t seen = 0; seen < count;) {
        const auto next = co_await Change(shared, seen);
        WEIR_CO_CHECK(next);
        seen = *next;
        shared.taken.store(seen);
    }
}
Task<> watches(Scheduler& scheduler, Shared& shared, std::uint32_t count) {
    WEIR_CO_TRY(shared.bell, weir::Remote::create());
    WEIR_CO_CHECK(weir::first_of(takes(scheduler, shared, count), hears(scheduler, shared)));
}
Task<> sleeps_beside(Scheduler&, Shared& shared, weir::Duration span) {
    const auto outcome = co_await Change(shared, 0).within(span);
    CHECK(weir::test::said(outcome) == "timed out");
}

/// Writes 1 to `count`, each at a moment of its own after the last was taken. False if one was not.
bool write_at_random(Shared& shared, std::uint32_t count, std::uint32_t pause_max_ns) {
    std::mt19937 random(7);
    for (std::uint32_t value = 1; value <= count; ++value) {
        const Instant until = MonotonicClock::now() + std::chrono::nanoseconds(random() % pause_max_ns);
        while (MonotonicClock::now() < until) {}
        shared.write(value);
        const Instant patience = MonotonicClock::now() + 20s;
        while (shared.taken.load() != value) {
            if (MonotonicClock::now() > patience) return false;
            std::this_thread::yield();
        }
    }
    return true;
}

constexpr weir::Budget patient_budget{.spin_us = 60'000'000};
constexpr weir::Budget sleepy_budget{.spin_us = 0};
constexpr weir::Budget usual_budget{.spin_us = 20};

template <weir::Budget budget>
std::uint64_t looks_while_watching(std::uint32_t count, std::uint32_t pause_max_ns) {
    const auto scheduler = make_scheduler<budget>();
    Shared shared;
    bool all_taken = false;
    std::thread writer([&] { all_taken = write_at_random(shared, count, pause_max_ns); });
    const auto outcome = scheduler->run(watches(*scheduler, shared, count));
    writer.join();
    CHECK(outcome);
    CHECK(all_taken);
    shared.bell = {};
    weir::test::check_idle(*scheduler);
    return scheduler->usage().spins + scheduler->usage().spins_in_vain;
}

}  // namespace

TEST_CASE("a change of a watched word ends the await, whether the thread looks or sleeps") {
    const std::uint32_t count = weir::test::repeats(3'000);
    const auto spins = looks_while_watching<usual_budget>(count, 40'000);
    if (!on_simulated() && std::thread::hardware_concurrency() > 1) CHECK(spins > 0);
}

TEST_CASE("with spin_us = 0 the thread sleeps at once, and is woken each time") {
    CHECK(looks_while_watching<sleepy_budget>(weir::test::repeats(3'000), 40'000) == 0);
}

TEST_CASE("where the thread may run on one processor only it does not spin") {
    const auto end = weir::test::run_in_child([] {
        cpu_set_t one;
        CPU_ZERO(&one);
        const int processor = ::sched_getcpu();
        if (processor < 0) return 2;
        CPU_SET(static_cast<unsigned>(processor), &one);
        if (::sched_setaffinity(0, sizeof(one), &one) != 0) return 3;
        return looks_while_watching<usual_budget>(200, 40'000) == 0 ? 0 : 1;
    });
    CHECK(end.exit_status == 0);
}

TEST_CASE("a timer ends a look at memory that would have gone on") {
    const auto scheduler = make_scheduler<patient_budget>();
    Shared shared;
    const Instant before = MonotonicClock::now();
    const auto outcome = scheduler->run(sleeps_beside(*scheduler, shared, 1ms));
    CHECK(outcome);
    CHECK(MonotonicClock::now() - before < 50s);  // of the 60 s that it may look
    CHECK_FALSE(shared.word.load() != 0);
}

TEST_CASE("a task may linger only while nothing else is ready, and where the thread may spin") {
    const auto lingers = [](Scheduler& scheduler, bool may) -> Task<> {
        CHECK(scheduler.linger() == may);
        co_return;
    };
    const auto beside = [](Scheduler& scheduler, decltype(lingers) linger) -> Task<> {
        const auto yields = [](Scheduler&) -> Task<> { WEIR_CO_CHECK(weir::yield()); };
        WEIR_CO_CHECK(weir::all_of(yields(scheduler), linger(scheduler, false)));
    };
    const auto scheduler = make_scheduler<usual_budget>();
    CHECK(scheduler->run(lingers(*scheduler, !on_simulated() && std::thread::hardware_concurrency() > 1)));
    CHECK(scheduler->run(beside(*scheduler, lingers)));
    const auto sleepy = make_scheduler<sleepy_budget>();
    CHECK(sleepy->run(lingers(*sleepy, false)));
}

TEST_CASE("a task looks for a change before it suspends, and not again at once where that was in vain") {
    const auto looks = [](Scheduler& scheduler, bool may) -> Task<> {
        const weir::Watch::Word word{1};
        CHECK(scheduler.changes_soon(word, 0) == may);
        CHECK_FALSE(scheduler.changes_soon(word, 1));
        CHECK_FALSE(scheduler.changes_soon(word, 0));  // not looked at all
        CHECK(scheduler.changes_soon(word, 0) == may);
        co_return;
    };
    const auto scheduler = make_scheduler<usual_budget>();
    CHECK(scheduler->run(looks(*scheduler, !on_simulated() && std::thread::hardware_concurrency() > 1)));
    const auto sleepy = make_scheduler<sleepy_budget>();
    CHECK(sleepy->run(looks(*sleepy, false)));
}

TEST_CASE("a foreign loop that is about to block has announced it") {
    const auto scheduler = make_scheduler<usual_budget>();
    Shared shared;
    Scheduler::Root<void> root;
    REQUIRE(scheduler->begin(watches(*scheduler, shared, 1), root));
    auto alive = scheduler->run_ready();
    REQUIRE(alive);
    CHECK(*alive);
    CHECK(shared.asleep.load());
    shared.write(1);
    CHECK(shared.rings.load() == 1);
    while (alive && *alive) alive = scheduler->run_ready();
    REQUIRE(alive);
    auto outcome = root.take();
    REQUIRE(outcome);
    CHECK(*outcome);
}

TEST_CASE("looks that find nothing become rare, and one that finds something makes them usual again") {
    Spinner spinner;
    CHECK_FALSE(spinner.worthwhile());
    spinner.set_limit(20us);
    int looked = 0;
    constexpr int sleeps = 100 * 256;
    for (int i = 0; i < sleeps; ++i) {
        if (!spinner.worthwhile()) continue;
        ++looked;
        spinner.in_vain();
    }
    CHECK(looked <= 108);  // the first eight come sooner
    CHECK(looked >= 99);
    while (!spinner.worthwhile()) {}
    spinner.found();
    for (int i = 0; i < 10; ++i) {
        CHECK(spinner.worthwhile());
        spinner.found();
    }
    CHECK(spinner.found_count() == 11);
    CHECK(spinner.in_vain_count() == static_cast<std::uint64_t>(looked));
}
