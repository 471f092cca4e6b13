// SPDX-License-Identifier: MIT
//
// A sanitizer owns the allocation functions; it calls this after each allocation of the program.
#include "heap_guard_check.hpp"

#include <cstddef>

extern "C" void __sanitizer_malloc_hook(const volatile void* block, std::size_t size);

extern "C" void __sanitizer_malloc_hook(const volatile void* /*block*/, std::size_t size) {
    weir::test::heap_guard::check("allocation", size);
}
