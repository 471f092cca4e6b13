// SPDX-License-Identifier: MIT
#include "weir/scheduler/real_time.hpp"

#include "weir/core/error.hpp"

#include <cerrno>
#include <cstddef>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir {
namespace {

Result<void> use_processors(std::uint64_t processors) noexcept {
    cpu_set_t wanted;
    CPU_ZERO(&wanted);
    for (unsigned i = 0; i < 64; ++i) {
        if ((processors >> i & 1U) != 0) CPU_SET(static_cast<std::size_t>(i), &wanted);
    }
    if (::sched_setaffinity(0, sizeof(wanted), &wanted) == 0) return {};
    return failure(Error::from_errno("RealTimeOptions::processors", errno));
}

// As deep as tasks nest at the most, many times over. A page of the stack is there once it was touched.
[[gnu::noinline]] void touch_stack() noexcept {
    constexpr std::size_t size = 128 * 1024;
    constexpr std::size_t step = 4096;
    [[maybe_unused]] volatile std::byte stack[size];
    for (std::size_t at = 0; at < size; at += step) stack[at] = std::byte{};
}

Result<void> lock_memory() noexcept {
    if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        return failure(Error::from_errno("mlockall (RLIMIT_MEMLOCK, CAP_IPC_LOCK)", errno));
    }
    touch_stack();
    return {};
}

Result<void> use_fifo(std::uint8_t priority) noexcept {
    constexpr const char* operation = "SCHED_FIFO (RLIMIT_RTPRIO, CAP_SYS_NICE)";
    // Children are started for work that may take its time, and would inherit it.
    constexpr int policy = SCHED_FIFO | SCHED_RESET_ON_FORK;
    const sched_param parameters{.sched_priority = priority};
    // Not by the C library: musl's answers ENOSYS.
    if (::syscall(SYS_sched_setscheduler, 0, policy, &parameters) == 0) return {};
    return failure(Error::from_errno(operation, errno));
}

}  // namespace

Result<void> become_real_time(const RealTimeOptions& options) noexcept {
    if (options.fifo_priority > 99) {
        return failure(Errc::invalid, "RealTimeOptions::fifo_priority, which is at most 99",
                       options.fifo_priority);
    }
    if (options.processors != 0) {
        const auto used = use_processors(options.processors);
        if (!used) return used;
    }
    if (options.lock_memory) {
        const auto locked = lock_memory();
        if (!locked) return locked;
    }
    return options.fifo_priority != 0 ? use_fifo(options.fifo_priority) : Result<void>{};
}

}  // namespace weir
