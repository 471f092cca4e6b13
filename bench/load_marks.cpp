// SPDX-License-Identifier: MIT
//
// The kernel counts: a counter of the tracepoint that each system call passes, of this thread alone. It costs tens of
// nanoseconds a call and wakes nobody; a tracer (ptrace) would take one of the sides' processors at each.

#include "load_marks.hpp"

#include "measurement.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bench {
namespace {

constexpr const char* numbers[] = {"/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
                                   "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id"};

std::uint64_t tracepoint() {
    for (const char* const path : numbers) {
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        char text[32] = "";
        const ssize_t size = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (size > 0) return std::strtoull(text, nullptr, 10);
    }
    skip("system calls cannot be counted here: no tracefs that may be read (root, /sys/kernel/tracing)");
}

int counter = -1;

}  // namespace

void mark_load() {
    const char* const to = std::getenv(count_to);
    if (to == nullptr) return;
    if (counter < 0) {
        perf_event_attr what{};
        what.size = sizeof(what);
        what.type = PERF_TYPE_TRACEPOINT;
        what.config = tracepoint();
        counter = static_cast<int>(syscall(SYS_perf_event_open, &what, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
        if (counter < 0 && (errno == EACCES || errno == EPERM || errno == ENOSYS))
            skip("system calls cannot be counted here: perf_event_open is not allowed");
        if (counter < 0) fail("perf_event_open");
        return;
    }
    std::uint64_t calls = 0;
    if (read(counter, &calls, sizeof(calls)) != sizeof(calls)) fail("reading the counter");
    --calls;  // that read
    if (write(static_cast<int>(count_from(to)), &calls, sizeof(calls)) != sizeof(calls)) fail("write");
}

}  // namespace bench
