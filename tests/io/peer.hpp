// SPDX-License-Identifier: MIT
#pragma once

#include "io/running.hpp"
#include "support/skip.hpp"

#include <csignal>
#include <cstdio>
#include <utility>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {

/// For tests with other processes, which have schedulers of their own and the time of the day.
inline void skip_where_simulated() {
    if (on_simulated()) skip("other processes have no place in simulated time");
}

/// A child process that runs one task in a scheduler of its own: `make(scheduler, say_to)`. It says how far it got by a
/// byte written to `say_to`, and lives until its task ends or it is killed. It dies with us.
class Peer {
public:
    template <class Make>
    explicit Peer(Make make) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            ::close(ends[0]);
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            Running running;
            const auto outcome = running->run(make(*running, ends[1]));
            if (!outcome) std::fprintf(stderr, "a peer: %s\n", Running::text_of_error(outcome).c_str());
            ::_exit(outcome ? 0 : 1);
        }
        ::close(ends[1]);
        told_ = Fd(ends[0]);
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() { kill(); }

    void wait_until_it_says() const {
        char said = 0;
        REQUIRE(::read(told_.get(), &said, 1) == 1);
    }
    /// What it says through.
    [[nodiscard]] int told() const noexcept { return told_.get(); }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    void kill() noexcept {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(std::exchange(pid_, -1), nullptr, 0);
    }
    /// Its exit status; -1 if a signal ended it.
    int join() noexcept {
        int status = 0;
        if (pid_ <= 0 || ::waitpid(std::exchange(pid_, -1), &status, 0) < 0) return -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

private:
    pid_t pid_ = -1;
    Fd told_;
};

inline void say(int fd) {
    CHECK_IN_TASK(::write(fd, "y", 1) == 1);
}

}  // namespace weir::test
