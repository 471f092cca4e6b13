// SPDX-License-Identifier: MIT
#include <weir/ipc/shm/foreign_semaphore.hpp>

#include "io/running.hpp"
#include "support/skip.hpp"
#include "this_build.hpp"

#include <cerrno>
#include <csignal>
#include <string>
#include <thread>

#include <fcntl.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;
using ipc::ForeignSemaphore;

/// A semaphore as another program makes it.
class Made {
public:
    explicit Made(unsigned count) : name_("/weir-test-" + std::to_string(::getpid())) {
        ::sem_unlink(name_.c_str());
        semaphore_ = ::sem_open(name_.c_str(), O_CREAT | O_EXCL, 0600, count);
        REQUIRE(semaphore_ != SEM_FAILED);
    }
    Made(const Made&) = delete;
    Made& operator=(const Made&) = delete;
    ~Made() {
        ::sem_close(semaphore_);
        ::sem_unlink(name_.c_str());
    }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] int value() const {
        int count = -1;
        ::sem_getvalue(semaphore_, &count);
        return count;
    }
    void post() const { ::sem_post(semaphore_); }

private:
    std::string name_;
    sem_t* semaphore_;
};

/// The plain C program; its exit status.
class Peer {
public:
    Peer(const Made& semaphore, const char* what, int count) {
        skip_where_it_cannot_run();
        std::string name = semaphore.name();
        std::string verb = what;
        std::string number = std::to_string(count);
        std::string program = this_build::foreign_semaphore_peer;
        char* const arguments[] = {program.data(), name.data(), verb.data(), number.data(), nullptr};
        REQUIRE(::posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments, environ) == 0);
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() {
        if (pid_ > 0) static_cast<void>(end());
    }
    int end() {
        int status = -1;
        ::waitpid(std::exchange(pid_, -1), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

private:
    // Without arguments it ends with a status of its own. Where an emulator runs this test the kernel may not know the
    // program's architecture, and the emulator tells of that by the child's status alone.
    static void skip_where_it_cannot_run() {
        constexpr int says_usage = 2;
        std::string program = this_build::foreign_semaphore_peer;
        char* const arguments[] = {program.data(), nullptr};
        pid_t pid = -1;
        int status = -1;
        const int error = ::posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments, environ);
        if (error == 0) ::waitpid(pid, &status, 0);
        const bool ran = error == 0 && WIFEXITED(status) && WEXITSTATUS(status) == says_usage;
        const bool cannot =
            error == ENOEXEC || (error == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127);
        if (cannot) skip("this kernel cannot run the program of another architecture");
        REQUIRE(ran);
    }

    pid_t pid_ = -1;
};

Task<> acquires(Scheduler&, ForeignSemaphore& semaphore, int count) {
    for (int i = 0; i < count; ++i) WEIR_CO_CHECK(semaphore.acquire());
}
Task<> gives(Scheduler&, ForeignSemaphore& semaphore, int count) {
    for (int i = 0; i < count; ++i) WEIR_CO_CHECK(semaphore.post());
    co_return;
}

TEST_CASE("what a plain C program posts is awaited, and what weir posts it waits for") {
    constexpr int count = 300;
    const Made made(0);
    Running running;
    ForeignSemaphore semaphore;
    REQUIRE(semaphore.open(made.name()).has_value());
    Peer poster(made, "post", count);
    running.must_run(acquires(*running, semaphore, count));
    CHECK(poster.end() == 0);
    CHECK(made.value() == 0);
    Peer waiter(made, "wait", count);
    running.must_run(gives(*running, semaphore, count));
    CHECK(waiter.end() == 0);
    CHECK(made.value() == 0);
}

Task<> times_out(Scheduler&, ForeignSemaphore& semaphore) {
    const auto late = co_await semaphore.acquire().within(1ms);
    CHECK_IN_TASK(code_of(late) == Errc::timed_out);
}
TEST_CASE("a token that the thread takes for an await that was stopped is kept, or given back at the close") {
    for_each_seed([](std::uint64_t seed) {
        const Made made(0);
        Running running(seed);
        ForeignSemaphore semaphore;
        REQUIRE(semaphore.open(made.name()).has_value());
        running.must_run(times_out(*running, semaphore));
        made.post();  // the thread may be waiting still: then it takes the token
        running.must_run(acquires(*running, semaphore, 1));
        running.must_run(times_out(*running, semaphore));
        made.post();
        semaphore.close();
        CHECK(made.value() == 1);
    });
}

Task<> gives_up_then_posts(Scheduler&, ForeignSemaphore& semaphore, Instant at, const Made& made) {
    const auto late = co_await semaphore.acquire().by(at);
    CHECK_IN_TASK(code_of(late) == Errc::timed_out);
    WEIR_CO_CHECK(sleep_for(250ms));  // the thread has stopped waiting for this one
    made.post();
}
Task<> comes_at(Scheduler& scheduler, ForeignSemaphore& semaphore, Instant at) {
    WEIR_CO_CHECK(sleep_until(at));
    // Simulated deadlines do not wait for the thread.
    const Instant deadline = on_simulated() ? never : after(scheduler.now(), 30s);
    for (;;) {
        const auto got = co_await semaphore.acquire().by(deadline);
        if (got) co_return;
        CHECK_IN_TASK(code_of(got) == Errc::busy);  // its predecessor's end is still to come from the kernel
        WEIR_CO_CHECK(yield());
    }
}
TEST_CASE("a task that begins to wait just as another one gives up gets the next token") {
    const Made made(0);
    Running running;
    ForeignSemaphore semaphore;
    REQUIRE(semaphore.open(made.name()).has_value());
    running.must_run([](Scheduler& scheduler, ForeignSemaphore& of, const Made& by) -> Task<> {
        // Both timers fire in one turn, in one order or the other; by then both tasks have begun, on a slow board too.
        const Instant first = after(scheduler.now(), 100ms);
        WEIR_CO_CHECK(all_of(comes_at(scheduler, of, first), gives_up_then_posts(scheduler, of, first, by)));
        const Instant second = after(scheduler.now(), 100ms);
        WEIR_CO_CHECK(
            all_of(gives_up_then_posts(scheduler, of, second, by), comes_at(scheduler, of, second)));
    }(*running, semaphore, made));
}

Task<> takes_at_random(Scheduler&, ForeignSemaphore& semaphore, std::uint32_t random, int& taken, int count) {
    while (taken < count) {
        random = random * 1'664'525U + 1'013'904'223U;
        const auto got = co_await semaphore.acquire().within(std::chrono::microseconds((random >> 8) % 31));
        if (got)
            ++taken;
        else if (got.error() != Errc::timed_out)
            co_return co_await fail(got.error());
    }
}
TEST_CASE("no token is lost or doubled by deadlines that pass as it comes") {
    constexpr int count = 400;
    const Made made(0);
    Running running;
    ForeignSemaphore semaphore;
    REQUIRE(semaphore.open(made.name()).has_value());
    std::thread poster([&made] {
        for (int i = 0; i < count; ++i) {
            made.post();
            std::this_thread::yield();
        }
    });
    int taken = 0;
    running.must_run(takes_at_random(*running, semaphore, 1, taken, count));
    poster.join();
    semaphore.close();
    CHECK(taken == count);
    CHECK(made.value() == 0);
}

TEST_CASE("a foreign semaphore is tried, counted, and says what is wrong") {
    const Made made(2);
    Running running;
    ForeignSemaphore semaphore;
    CHECK(code_of(semaphore.try_acquire()) == Errc::closed);
    CHECK(code_of(semaphore.post()) == Errc::closed);
    CHECK(code_of(semaphore.value()) == Errc::closed);
    CHECK(code_of(semaphore.open("/weir-test-nothing-there")) == Errc::not_found);
    CHECK(code_of(semaphore.open("")) == Errc::invalid);
    CHECK(code_of(semaphore.open(std::string(251, 'x'))) == Errc::too_large);
    running.must_run([](Scheduler&, ForeignSemaphore& closed) -> Task<> {
        const auto refused = co_await closed.acquire();
        CHECK_IN_TASK(code_of(refused) == Errc::closed);
    }(*running, semaphore));
    REQUIRE(semaphore.open(made.name()).has_value());
    CHECK(code_of(semaphore.open(made.name())) == Errc::busy);
    CHECK(semaphore.value() == 2U);
    CHECK(semaphore.try_acquire().has_value());
    running.must_run(acquires(*running, semaphore, 1));
    CHECK(code_of(semaphore.try_acquire()) == Errc::would_block);
    CHECK(semaphore.post().has_value());
    CHECK(semaphore.value() == 1U);
}

}  // namespace
