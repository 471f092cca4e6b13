// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <pthread.h>

namespace weir::sys {

/// Starts a thread in which all signals are blocked, with a stack of `stack_bytes` or the least that the system allows.
/// The C library allocates for it. 0, or the errno: ENOMEM also for too many threads, EINVAL for the stack.
int start_thread(pthread_t& thread, std::size_t stack_bytes, void* (*body)(void*), void* argument) noexcept;

}  // namespace weir::sys
