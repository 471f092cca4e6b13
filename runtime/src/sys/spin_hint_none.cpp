// SPDX-License-Identifier: MIT
#include "sys/processors.hpp"

void weir::sys::spin_hint() noexcept {
    asm volatile("" ::: "memory");
}
