// SPDX-License-Identifier: MIT
#include "weir/core/report.hpp"

#include "core/thread_mutex.hpp"

#include <cerrno>
#include <sys/uio.h>
#include <unistd.h>

namespace weir {
namespace {

void to_standard_error(std::string_view line, void*) noexcept {
    char newline = '\n';
    const iovec parts[] = {{const_cast<char*>(line.data()), line.size()}, {&newline, 1}};
    const int saved = errno;
    [[maybe_unused]] const auto written = ::writev(STDERR_FILENO, parts, 2);
    errno = saved;
}

struct Hook {
    ReportFunction function = to_standard_error;
    void* context = nullptr;
};
constinit Hook hook;
constinit ThreadMutex hook_mutex;

}  // namespace

void set_report(ReportFunction function, void* context) noexcept {
    const ThreadGuard lock(hook_mutex);
    hook = function != nullptr ? Hook{function, context} : Hook{};
}

void report(std::string_view line) noexcept {
    Hook now;
    {
        const ThreadGuard lock(hook_mutex);
        now = hook;
    }
    now.function(line, now.context);
}

void report(const Error& error) noexcept {
    char buffer[256];
    report(error.message(buffer));
}

}  // namespace weir
