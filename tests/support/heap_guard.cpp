// SPDX-License-Identifier: MIT
#include "heap_guard.hpp"

#include "heap_guard_check.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

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
    depth = 0;  // what follows may allocate
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "heap guard: %s of %zu bytes while armed\n", function, size);
    say(line.data());
    std::array<void*, 48> frames{};
    const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    ::backtrace_symbols_fd(frames.data(), count, STDERR_FILENO);
    std::abort();
}

}  // namespace heap_guard

HeapPermit::HeapPermit() noexcept : depth_(std::exchange(depth, 0)) {}

HeapPermit::~HeapPermit() {
    depth = depth_;
}

}  // namespace weir::test
