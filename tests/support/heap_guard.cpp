// SPDX-License-Identifier: MIT
#include "heap_guard.hpp"

#include "heap_guard_check.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <dlfcn.h>
#include <execinfo.h>
#include <unistd.h>

namespace weir::test {

namespace {

// The initial-exec model of a program's own thread-locals takes no memory on first use.
constinit thread_local int depth = 0;

void say(const char* text) {
    // Nothing is left to do when stderr refuses: the abort that follows is the message.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, std::strlen(text));
}

// Who starts a thread has glibc take some bytes for the thread's own storage: a server that strangers can come to does so
// when it is created.
bool starts_a_thread(void* const* frames, int count) {
    for (int i = 0; i < count; ++i) {
        Dl_info about{};
        const bool named = ::dladdr(frames[i], &about) != 0 && about.dli_sname != nullptr;
        if (named && std::strstr(about.dli_sname, "pthread_create") != nullptr) return true;
    }
    return false;
}

}  // namespace

namespace heap_guard {

void arm() noexcept {
    ++depth;
}

void disarm() noexcept {
    --depth;
}

bool armed() noexcept {
    return depth > 0;
}

void check(const char* function, std::size_t size) noexcept {
    if (depth <= 0) [[likely]] {
        return;
    }
    const int before = std::exchange(depth, 0);  // what follows may allocate
    std::array<void*, 48> frames{};
    const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    if (starts_a_thread(frames.data(), count)) {
        depth = before;
        return;
    }
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "heap guard: %s of %zu bytes while armed\n", function, size);
    say(line.data());
    ::backtrace_symbols_fd(frames.data(), count, STDERR_FILENO);
    std::abort();
}

}  // namespace heap_guard

HeapPermit::HeapPermit() noexcept : depth_(std::exchange(depth, 0)) {}

HeapPermit::~HeapPermit() {
    depth = depth_;
}

}  // namespace weir::test
