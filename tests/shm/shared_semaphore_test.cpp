// SPDX-License-Identifier: MIT
#include <weir/ipc/shm/shared_semaphore.hpp>

#include "io/forked.hpp"
#include "io/running.hpp"
#include "io/temporary_directory.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"

#include <array>
#include <csignal>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::RuntimeDirectory;
using ipc::SharedSemaphore;

constexpr Name semaphore_name{"press/free"};

/// A runtime directory of the test's own.
struct Place {
    Place() : directory(*RuntimeDirectory::at(temporary.path())) {}
    [[nodiscard]] Result<SharedSemaphore> open(std::uint32_t initial = 0) const {
        return SharedSemaphore::open(directory, semaphore_name, {.initial = initial});
    }
    TemporaryDirectory temporary;
    RuntimeDirectory directory;
};

enum class Sort : std::uint8_t { anonymous, named };
SharedSemaphore made(Sort sort, const Place& place, std::uint32_t initial) {
    auto semaphore = sort == Sort::named ? place.open(initial) : SharedSemaphore::create(initial);
    INFO(Running::text_of_error(semaphore));
    REQUIRE(semaphore.has_value());
    return std::move(*semaphore);
}
template <class F>
void for_both_sorts(F body) {
    for (const Sort sort : {Sort::anonymous, Sort::named}) body(sort);
}

Task<> takes_what_is_there(Scheduler&, SharedSemaphore& semaphore) {
    WEIR_CO_CHECK(semaphore.acquire());
    WEIR_CO_CHECK(semaphore.post(2));
    WEIR_CO_TRY(const auto three, semaphore.value());
    CHECK_IN_TASK(three == 3);
    for (int i = 0; i < 2; ++i) WEIR_CO_CHECK(semaphore.acquire());
    WEIR_CO_CHECK(semaphore.try_acquire());
    const auto none = semaphore.try_acquire();
    CHECK_IN_TASK(code_of(none) == Errc::would_block);
    const auto late = co_await semaphore.acquire().within(200us);
    CHECK_IN_TASK(code_of(late) == Errc::timed_out);
    WEIR_CO_TRY(const auto zero, semaphore.value());
    CHECK_IN_TASK(zero == 0);
}
TEST_CASE("a shared semaphore gives as many tokens as it was given, and waits for the next") {
    for_both_sorts([](Sort sort) {
        for_each_seed([sort](std::uint64_t seed) {
            const Place place;
            Running running(seed);
            SharedSemaphore semaphore = made(sort, place, 2);
            running.must_run(takes_what_is_there(*running, semaphore));
        });
    });
}

Task<> acquires_one(Scheduler&, SharedSemaphore& semaphore, int& count) {
    WEIR_CO_CHECK(semaphore.acquire());
    ++count;
}
Task<> posts_later(Scheduler&, SharedSemaphore& semaphore) {
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_CHECK(semaphore.post());
}
Task<> wakes(Scheduler& scheduler, SharedSemaphore& waiter, SharedSemaphore& poster, int& count) {
    WEIR_CO_CHECK(all_of(acquires_one(scheduler, waiter, count), posts_later(scheduler, poster)));
}
TEST_CASE("a post through one handle wakes whoever waits on another") {
    for_each_seed([](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        SharedSemaphore one = made(Sort::named, place, 0);
        SharedSemaphore other = made(Sort::named, place, 0);
        int count = 0;
        running.must_run(wakes(*running, one, other, count));
        CHECK(count == 1);
        SharedSemaphore first = made(Sort::anonymous, place, 0);
        auto second = SharedSemaphore::adopt(::dup(first.fd()));
        REQUIRE(second.has_value());
        running.must_run(wakes(*running, first, *second, count));
        CHECK(count == 2);
    });
}

TEST_CASE("posting past the limit is an error that names it, adds nothing and does not wait") {
    const Place place;
    SharedSemaphore named = made(Sort::named, place, SharedSemaphore::post_max);
    CHECK(code_of(named.post(SharedSemaphore::post_max + 1)) == Errc::too_large);
    std::uint64_t posted = SharedSemaphore::post_max;
    Result<void> outcome;
    while ((outcome = named.post(1'000))) posted += 1'000;
    CHECK(code_of(outcome) == Errc::overflow);
    CHECK(outcome.error().b >= SharedSemaphore::post_max);
    CHECK(named.value() == posted);
    SharedSemaphore anonymous = made(Sort::anonymous, place, 1);
    const std::uint64_t nearly = ~std::uint64_t{0} - 3;
    REQUIRE(::write(anonymous.fd(), &nearly, sizeof(nearly)) == sizeof(nearly));
    CHECK(code_of(anonymous.post(2)) == Errc::overflow);
    CHECK(anonymous.value() == nearly + 1);
    CHECK(anonymous.post(1).has_value());
}

TEST_CASE("the first to open a named semaphore sets its count, and so does the next after all have gone") {
    const Place place;
    {
        const SharedSemaphore first = made(Sort::named, place, 3);
        SharedSemaphore second = made(Sort::named, place, 7);
        CHECK(second.value() == 3U);
        CHECK(second.try_acquire().has_value());
        CHECK(first.value() == 2U);
    }
    const SharedSemaphore again = made(Sort::named, place, 5);
    CHECK(again.value() == 5U);
}

TEST_CASE("a named semaphore whose maker was killed at once is set up by the next one") {
    const Place place;
    const auto path = place.temporary / "press~free.sem";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);  // all that it came to
    const auto open = SharedSemaphore::open(place.directory, semaphore_name, {.initial = 3, .mode = 0660});
    REQUIRE(open.has_value());
    CHECK(mode_of(path) == 0660);
    CHECK(open->value() == 3U);
    // Who comes while it is open changes nothing.
    const auto second = SharedSemaphore::open(place.directory, semaphore_name, {.initial = 9, .mode = 0600});
    REQUIRE(second.has_value());
    CHECK(mode_of(path) == 0660);
    CHECK(second->value() == 3U);
}

TEST_CASE("a named semaphore has the mode asked for, and unlinking removes its name alone") {
    const Place place;
    auto open = SharedSemaphore::open(place.directory, semaphore_name, {.initial = 1, .mode = 0660});
    REQUIRE(open.has_value());
    const std::string path = place.temporary / "press~free.sem";
    CHECK(mode_of(path) == 0660);
    CHECK(SharedSemaphore::unlink(place.directory, semaphore_name).has_value());
    CHECK_FALSE(exists(path));
    CHECK(code_of(SharedSemaphore::unlink(place.directory, semaphore_name)) == Errc::not_found);
    CHECK(open->try_acquire().has_value());
    const SharedSemaphore another = made(Sort::named, place, 4);
    CHECK(another.value() == 4U);
    CHECK(open->value() == 0U);
}

TEST_CASE("opening refuses what is no semaphore, and a closed handle says so") {
    const Place place;
    const std::string path = place.temporary / "press~free.sem";
    const Fd file(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    REQUIRE(file);
    CHECK(code_of(place.open()) == Errc::in_use);
    CHECK(code_of(place.open(SharedSemaphore::post_max + 1)) == Errc::too_large);
    CHECK(code_of(SharedSemaphore::adopt(file.get())) == Errc::wrong_kind);
    REQUIRE(::unlink(path.c_str()) == 0);
    REQUIRE(::symlink("/dev/null", path.c_str()) == 0);
    CHECK(code_of(place.open()) == Errc::in_use);
    SharedSemaphore closed;
    CHECK(code_of(closed.try_acquire()) == Errc::closed);
    CHECK(code_of(closed.post()) == Errc::closed);
    CHECK(code_of(closed.value()) == Errc::closed);
}

TEST_CASE("another user's semaphore is not opened") {
    if (::geteuid() != 0) skip("needs root to become another user");
    const Place place;
    const std::string path = place.temporary / "press~free.sem";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    REQUIRE(::chown(path.c_str(), 65'533, 65'533) == 0);
    CHECK(code_of(place.open()) == Errc::in_use);
    const ChildEnd end = run_unprivileged([&] { return code_of(place.open()) == Errc::denied ? 0 : 1; });
    CHECK(end.exit_status == 0);
}

// --- deaths

TEST_CASE("a token in the hands of a killed process is gone, and the others go on") {
    for_both_sorts([](Sort sort) {
        const Place place;
        SharedSemaphore semaphore = made(sort, place, 2);
        {
            ForkedHolder holder([&] { return semaphore.try_acquire().has_value(); });
            holder.kill();
        }
        CHECK(semaphore.value() == 1U);
        Running running;
        int count = 0;
        SharedSemaphore ours = made(sort, place, 1);
        running.must_run(acquires_one(*running, ours, count));
        CHECK(count == 1);
    });
}

TEST_CASE("the killed last holder of a named semaphore leaves one that begins anew") {
    const Place place;
    {
        ForkedHolder holder([&] {
            static Result<SharedSemaphore> held = place.open(9);
            return held.has_value() && held->value() == 9U;
        });
        holder.kill();
    }
    CHECK(made(Sort::named, place, 2).value() == 2U);
}

// Waiters are killed at every stage of their wait while tokens come; the tokens and the wake-ups all reach the one that
// lives: as many are taken as were given, less those that a killed one had reported or was about to.
TEST_CASE("waiters killed at any moment swallow no token that they did not take, and no wake-up") {
    if (on_simulated()) skip("other processes live outside the simulation");
    for_both_sorts([](Sort sort) {
        const int rounds = static_cast<int>(repeats(150));
        const Place place;
        SharedSemaphore semaphore = made(sort, place, 0);
        int taken_by_killed = 0;
        for (int round = 0; round < rounds; ++round) {
            int ready[2];
            REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
            const pid_t child = ::fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                Running running;
                const char byte = 'r';
                if (::write(ready[1], &byte, 1) != 1) ::_exit(9);
                int count = 0;
                const auto outcome = running.run(acquires_one(*running, semaphore, count));
                ::_exit(outcome.has_value() ? 0 : 1);
            }
            char byte = 0;
            REQUIRE(::read(ready[0], &byte, 1) == 1);
            for (int spins = round * 40; spins > 0; --spins) static_cast<void>(::getppid());
            REQUIRE(semaphore.post().has_value());
            for (int spins = round % 7 * 60; spins > 0; --spins) static_cast<void>(::getppid());
            ::kill(child, SIGKILL);
            REQUIRE(::waitpid(child, nullptr, 0) == child);
            ::close(ready[0]);
            ::close(ready[1]);
            // The token is there, or the killed one had it; a survivor that waits gets the next at once either way.
            Running running;
            SharedSemaphore ours =
                sort == Sort::named ? made(sort, place, 0) : *SharedSemaphore::adopt(::dup(semaphore.fd()));
            if (ours.try_acquire()) {
                CHECK(ours.value() == 0U);
            } else {
                ++taken_by_killed;
            }
            int count = 0;
            running.must_run(wakes(*running, ours, semaphore, count));
            CHECK(count == 1);
            CHECK(ours.value() == 0U);
        }
        CHECK(taken_by_killed < rounds);
    });
}

// Two processes pass two tokens to and fro; a lost wake-up would hang them.
Task<> serves(Scheduler&, SharedSemaphore& takes, SharedSemaphore& gives, int rounds) {
    for (int i = 0; i < rounds; ++i) {
        WEIR_CO_CHECK(takes.acquire());
        WEIR_CO_CHECK(gives.post());
    }
}
TEST_CASE("two processes that wait for each other in turn lose no wake-up") {
    if (on_simulated()) skip("other processes live outside the simulation");
    for_both_sorts([](Sort sort) {
        const int rounds = static_cast<int>(repeats(2'000));
        const Place place;
        const Place back_place;
        SharedSemaphore there = made(sort, place, 0);
        SharedSemaphore back = made(sort, back_place, 1);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            Running running;
            const auto outcome = running.run(serves(*running, there, back, rounds));
            ::_exit(outcome.has_value() ? 0 : 1);
        }
        Running running;
        running.must_run(serves(*running, back, there, rounds));
        int status = -1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        there.close();
        back.close();
    });
}

}  // namespace
