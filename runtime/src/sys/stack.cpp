// SPDX-License-Identifier: MIT
#include "sys/stack.hpp"

#include <cstdint>
#include <limits>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace weir::sys {

std::size_t stack_left() noexcept {
    constexpr std::size_t unknown = std::numeric_limits<std::size_t>::max();
    // The first thread's bounds are not asked of the C library, which would read /proc for them.
    if (::gettid() == ::getpid()) {
        rlimit limit{};
        if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unknown;
        return limit.rlim_cur < unknown ? static_cast<std::size_t>(limit.rlim_cur) : unknown;
    }
    pthread_attr_t attributes;
    if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return unknown;
    void* low = nullptr;
    std::size_t size = 0;
    const int status = ::pthread_attr_getstack(&attributes, &low, &size);
    ::pthread_attr_destroy(&attributes);
    if (status != 0) return unknown;
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const auto end = reinterpret_cast<std::uintptr_t>(low);
    return here > end ? here - end : 0;
}

}  // namespace weir::sys
