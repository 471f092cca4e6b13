// SPDX-License-Identifier: MIT
//
// Processes that are killed at random and started again, for as long as they get on with their work.
//
// What they do they write into memory that outlives them all; whoever uses this looks through it afterwards.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace weir::test {

/// Zeros that all processes made later share; allocated where they are touched.
[[nodiscard]] inline void* shared_memory(std::size_t size) {
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("mmap");
        std::exit(2);
    }
    return memory;
}

/// A folder that is there for as long as this, and what was left in it.
class KilledFolder {
public:
    KilledFolder() {
        if (::mkdtemp(path_) == nullptr) std::abort();
    }
    KilledFolder(const KilledFolder&) = delete;
    KilledFolder& operator=(const KilledFolder&) = delete;
    ~KilledFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const char* path() const noexcept { return path_; }
    [[nodiscard]] std::uint64_t count() const {
        std::uint64_t left = 0;
        for (const auto& entry : std::filesystem::directory_iterator(path_)) {
            std::fprintf(stderr, "left: %s\n", entry.path().c_str());
            ++left;
        }
        return left;
    }

private:
    char path_[32] = "/tmp/weir-kills-XXXXXX";
};

class KilledProcesses {
public:
    /// `roles` processes. `play` is what each does, in a child of its own, and gives its exit status; `started` counts
    /// from 1 how many were started in all. `progress` is a counter that they drive.
    KilledProcesses(std::size_t roles, int (*play)(std::size_t role, std::uint32_t started),
                    const std::atomic<std::uint64_t>& progress)
        : killed_of(roles), processes_(roles), play_(play), progress_(progress) {}
    KilledProcesses(const KilledProcesses&) = delete;
    KilledProcesses& operator=(const KilledProcesses&) = delete;

    /// Starts all, and kills one of them, and starts it again, `kills` times: always after another `between` steps of
    /// progress. Afterwards they have got on once more.
    void run(std::uint64_t kills, std::uint64_t between) {
        std::mt19937 random(11);
        for (std::size_t role = 0; role < processes_.size(); ++role) processes_[role] = start(role);
        while (killed < kills && wait_for(progress_ + between)) {
            const std::size_t role = random() % processes_.size();
            const timespec pause{.tv_sec = 0, .tv_nsec = static_cast<long>(random() % 1'000'000)};
            ::nanosleep(&pause, nullptr);
            ::kill(processes_[role], SIGKILL);
            int status = 0;
            ::waitpid(processes_[role], &status, 0);
            if (!WIFSIGNALED(status)) failure = "a process came to its end by itself";
            ++killed;
            ++killed_of[role];
            processes_[role] = start(role);
        }
        std::ignore = wait_for(progress_ + between);
    }
    /// Waits for their ends, the last role first; `enough` tells them.
    void end(std::atomic<bool>& enough) {
        enough = true;
        for (std::size_t role = processes_.size(); role-- > 0;) {
            if (!failure.empty()) ::kill(processes_[role], SIGKILL);
            int status = 0;
            ::waitpid(processes_[role], &status, 0);
            if (failure.empty() && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
                failure = "a process ended with an error";
        }
    }

    std::vector<std::uint64_t> killed_of;  ///< by role
    std::uint64_t killed = 0;
    std::string failure;

private:
    pid_t start(std::size_t role) {
        ++started_;
        const pid_t child = ::fork();
        if (child != 0) return child;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::_exit(play_(role, started_));
    }
    bool wait_for(std::uint64_t wanted) {
        if (!failure.empty()) return false;
        std::uint64_t last = progress_;
        for (int quiet_ms = 0; progress_ < wanted; ++quiet_ms) {
            const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
            ::nanosleep(&pause, nullptr);
            const std::uint64_t now = progress_;
            if (now != last) quiet_ms = 0;
            last = now;
            if (quiet_ms > 60'000) {
                failure = "nothing gets on any more";
                return false;
            }
        }
        return true;
    }

    std::vector<pid_t> processes_;
    int (*play_)(std::size_t, std::uint32_t);
    const std::atomic<std::uint64_t>& progress_;
    std::uint32_t started_ = 0;
};

}  // namespace weir::test
