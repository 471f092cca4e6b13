// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// A process that a test kills.

#include "io/files_used_up.hpp"
#include "io/running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"
#include "support/stranger.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {

inline void skip_where_simulated() {
    if (on_simulated()) skip("other processes have no place in simulated time");
}
/// What a Victim's task says when it got so far.
inline void say(int fd) {
    CHECK_IN_TASK(::write(fd, "y", 1) == 1);
}

/// How long a hostile process goes on: as many seconds as WEIR_HOSTILE_S says, or `otherwise`.
inline Duration hostile_span(Duration otherwise) {
    const char* const asked = std::getenv("WEIR_HOSTILE_S");
    return asked != nullptr ? std::chrono::seconds(std::atoi(asked)) : otherwise;
}

/// A child that runs one task in a scheduler of its own, says when it got so far, and lives until it is killed.
class Victim {
public:
    template <class Make>
    explicit Victim(Make make) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            ::close(ends[0]);
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            Running running;
            const auto outcome = running->run(make(*running, ends[1]));
            std::fprintf(stderr, "the victim came to its end: %s\n", Running::text_of_error(outcome).c_str());
            ::_exit(1);
        }
        ::close(ends[1]);
        told_ = Fd(ends[0]);
    }
    Victim(const Victim&) = delete;
    Victim& operator=(const Victim&) = delete;
    ~Victim() { kill(); }
    void wait_until_it_says() const {
        char said = 0;
        REQUIRE(::read(told_.get(), &said, 1) == 1);
    }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] int told() const noexcept { return told_.get(); }
    /// Stops it, and waits until it is.
    void stop() const noexcept {
        ::kill(pid_, SIGSTOP);
        ::waitpid(pid_, nullptr, WUNTRACED);
    }
    void go_on() const noexcept { ::kill(pid_, SIGCONT); }
    void kill() noexcept {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(std::exchange(pid_, -1), nullptr, 0);
    }

private:
    pid_t pid_ = -1;
    Fd told_;
};

/// How a process was refused that wanted to attach to one without descriptors.
struct Refusals {
    int late = 0;      ///< not even taken
    int no_files = 0;  ///< taken, and told so
};
/// Lets a server have no descriptor more than it has, then one, and so on until `opens(scheduler, place)` succeeds; from
/// then on enough. Any other error than these fails.
template <class Opens, class Place>
Task<Refusals> open_while_server_lacks_files(Scheduler& scheduler, pid_t server, Opens opens,
                                             const Place& place) {
    Refusals refusals;
    std::size_t limit = 0;
    {
        const HeapPermit permit;
        limit = first_free_file_of(server);
    }
    for (const std::size_t enough = limit + 16; limit < enough; ++limit) {
        limit_files(server, limit);
        const auto opened = co_await opens(scheduler, place);
        if (opened) {
            limit_files(server, enough);
            co_return refusals;
        }
        if (opened.error() != Errc::timed_out && opened.error() != Errc::no_files)
            co_return co_await fail(opened.error());
        ++(opened.error() == Errc::timed_out ? refusals.late : refusals.no_files);
    }
    co_return co_await fail(Errc::stalled, "a server that has descriptors again");
}

}  // namespace weir::test
