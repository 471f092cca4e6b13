// SPDX-License-Identifier: MIT
#pragma once

#include "support/catch.hpp"

#include <csignal>
#include <functional>

#include <sys/wait.h>
#include <unistd.h>

namespace weir::test {

/// A forked child that did something and now holds on to it until it is killed.
class ForkedHolder {
public:
    /// Returns when `take` has returned in the child; REQUIREs that it returned true.
    explicit ForkedHolder(const std::function<bool()>& take) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        pid_ = ::fork();
        REQUIRE(pid_ >= 0);
        if (pid_ == 0) {
            const char answer = take() ? 'y' : 'n';
            if (::write(ends[1], &answer, 1) != 1) ::_exit(1);
            for (;;) ::pause();
        }
        ::close(ends[1]);
        char answer = 0;
        const ssize_t size = ::read(ends[0], &answer, 1);
        ::close(ends[0]);
        REQUIRE(size == 1);
        REQUIRE(answer == 'y');
    }
    ForkedHolder(const ForkedHolder&) = delete;
    ForkedHolder& operator=(const ForkedHolder&) = delete;
    ~ForkedHolder() { kill(); }

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// SIGKILL, and waits until it is gone.
    void kill() noexcept {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

private:
    pid_t pid_ = -1;
};

}  // namespace weir::test
