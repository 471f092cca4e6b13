// SPDX-License-Identifier: MIT
//
// Takes the place of glibc's allocation functions for the whole program and hands on to the names that glibc keeps for
// exactly this. operator new calls malloc, and strdup, getline and the like do so through the same symbol.
//
// pthread_create allocates for the thread's own storage, which is allowed.
#include "heap_guard.hpp"
#include "heap_guard_check.hpp"

#include <bit>
#include <cerrno>
#include <cstddef>

#include <dlfcn.h>
#include <pthread.h>

using weir::test::heap_guard::check;

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size);
void* calloc(std::size_t count, std::size_t size);
void* realloc(void* block, std::size_t size);
void* memalign(std::size_t alignment, std::size_t size);
void* aligned_alloc(std::size_t alignment, std::size_t size);
int posix_memalign(void** block, std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
    check("malloc", size);
    return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) {
    check("calloc", count * size);
    return __libc_calloc(count, size);
}

void* realloc(void* block, std::size_t size) {
    check("realloc", size);
    return __libc_realloc(block, size);
}

void* memalign(std::size_t alignment, std::size_t size) {
    check("memalign", size);
    return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
    check("aligned_alloc", size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
    check("posix_memalign", size);
    if (!std::has_single_bit(alignment) || alignment % sizeof(void*) != 0) {
        return EINVAL;
    }
    void* const memory = __libc_memalign(alignment, size);
    if (memory == nullptr) {
        return ENOMEM;
    }
    *block = memory;
    return 0;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                   void* argument) {
    const weir::test::HeapPermit permit;
    using Create = decltype(&pthread_create);
    static const auto real = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
    return real(thread, attributes, body, argument);
}

}  // extern "C"
