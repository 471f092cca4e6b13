// SPDX-License-Identifier: MIT
//
// Stands in where weir is built without texts: a dump tells how many tasks live. A debugger shows them (tools/gdb).
#include "weir/scheduler/scheduler.hpp"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

namespace weir {

void Scheduler::dump(int fd) const noexcept {
    char text[64];
    const int size =
        std::snprintf(text, sizeof(text), "weir: %zu tasks, %zu timers\n", frames.live(), timers.count());
    if (size <= 0) return;
    const auto shown = std::min(static_cast<std::size_t>(size), sizeof(text) - 1);
    [[maybe_unused]] const auto written = ::write(fd, text, shown);
}

}  // namespace weir
