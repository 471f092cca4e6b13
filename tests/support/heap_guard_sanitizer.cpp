// SPDX-License-Identifier: MIT
//
// A sanitizer owns the allocation functions; it calls this after each allocation of the program. pthread_create is its
// own, too: what that allocates, for the thread's own storage, is known by who called, and allowed.
#include "heap_guard.hpp"
#include "heap_guard_check.hpp"

#include <array>
#include <cstddef>
#include <cstring>

#include <dlfcn.h>
#include <execinfo.h>

namespace {

bool starts_a_thread() {
    const weir::test::HeapPermit permit;
    std::array<void*, 48> frames{};
    const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    for (int i = 0; i < count; ++i) {
        Dl_info about{};
        const bool named =
            ::dladdr(frames.at(static_cast<std::size_t>(i)), &about) != 0 && about.dli_sname != nullptr;
        if (named && std::strstr(about.dli_sname, "pthread_create") != nullptr) return true;
    }
    return false;
}

}  // namespace

extern "C" void __sanitizer_malloc_hook(const volatile void* block, std::size_t size);

extern "C" void __sanitizer_malloc_hook(const volatile void* /*block*/, std::size_t size) {
    using namespace weir::test::heap_guard;
    if (armed() && !starts_a_thread()) check("allocation", size);
}
