// SPDX-License-Identifier: MIT
#include "sys/threads.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>

namespace weir::sys {

int start_thread(pthread_t& thread, std::size_t stack_bytes, void* (*body)(void*), void* argument) noexcept {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    const auto least = static_cast<std::size_t>(PTHREAD_STACK_MIN);
    int error = ::pthread_attr_setstacksize(&attributes, std::max(stack_bytes, least));
    if (error == 0) error = ::pthread_create(&thread, &attributes, body, argument);
    ::pthread_attr_destroy(&attributes);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    // The system says EAGAIN to too many threads and to no memory for a stack.
    return error == EAGAIN ? ENOMEM : error;
}

}  // namespace weir::sys
