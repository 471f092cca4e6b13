// SPDX-License-Identifier: MIT
#include "sys/processors.hpp"

#include <sched.h>

namespace weir::sys {

bool has_one_processor() noexcept {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    // More processors than the set has places is an error, and more than one.
    if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return false;
    return CPU_COUNT(&allowed) == 1;
}

}  // namespace weir::sys
