// SPDX-License-Identifier: MIT
//
// A scheduler on the backend that this run of the suite is for.
#pragma once

#include <weir/scheduler/scheduler.hpp>

#include "support/catch.hpp"
#include "support/run.hpp"
#include "support/said.hpp"

#include <memory>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

namespace weir::test {

inline StartOptions options_of_this_run(std::uint64_t seed = 1) {
    StartOptions options;
    options.backend = backend_choice(backend_name()).value_or(BackendChoice::automatic);
    options.environment = false;
    options.simulation.seed = seed;
    return options;
}

inline constexpr Budget test_budget{
    .frame_bytes = 256 * 1024, .submissions = 32, .descriptors = 64, .timer_slots = 32};

/// A started scheduler.
template <Budget budget = test_budget>
std::unique_ptr<StaticScheduler<budget>> make_scheduler(const StartOptions& options = options_of_this_run()) {
    auto scheduler = std::make_unique<StaticScheduler<budget>>();
    const auto started = scheduler->start(options);
    INFO(std::string(scheduler->backend_reason()));
    REQUIRE(started);
    return scheduler;
}

/// Nothing is left of what ran.
inline void check_idle(const Scheduler& scheduler) {
    const Usage usage = scheduler.usage();
    CHECK(usage.frames == 0);
    CHECK(usage.timers == 0);
    CHECK(usage.operations == 0);
    CHECK(usage.descriptors == 0);
    CHECK(scheduler.ready.empty());
}

/// A file in memory, and what was written to it.
class MemoryFile {
public:
    MemoryFile() : fd_(::memfd_create("test", MFD_CLOEXEC)) {}
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;
    ~MemoryFile() { ::close(fd_); }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] std::string text() const {
        std::string content(static_cast<std::size_t>(::lseek(fd_, 0, SEEK_END)), '\0');
        const auto size = ::pread(fd_, content.data(), content.size(), 0);
        content.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return content;
    }

private:
    int fd_;
};

}  // namespace weir::test
