// SPDX-License-Identifier: MIT
#include "heap_guard.hpp"

#include "catch.hpp"
#include "child.hpp"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include <pthread.h>

using weir::test::HeapGuard;
using weir::test::HeapPermit;

namespace {

// The compiler may not remove an allocation whose result it cannot follow.
template <typename T>
void keep(T* pointer) {
    asm volatile("" : : "g"(pointer) : "memory");
}

void require_abort(const std::function<int()>& body) {
    const weir::test::ChildEnd end = weir::test::run_in_child(body);
    INFO(end.errors);
    CHECK(end.signal == SIGABRT);
    CHECK(end.errors.find("heap guard: ") != std::string::npos);
}

}  // namespace

TEST_CASE("an armed guard aborts on malloc") {
    require_abort([] {
        const HeapGuard guard;
        keep(std::malloc(24));
        return 0;
    });
}

TEST_CASE("an armed guard aborts on operator new") {
    require_abort([] {
        const HeapGuard guard;
        keep(new int{7});
        return 0;
    });
}

TEST_CASE("an armed guard aborts on over-aligned operator new") {
    struct alignas(128) Wide {
        int value;
    };
    require_abort([] {
        const HeapGuard guard;
        keep(new Wide{7});
        return 0;
    });
}

TEST_CASE("an armed guard aborts on calloc, realloc, posix_memalign and strdup") {
    require_abort([] {
        const HeapGuard guard;
        keep(std::calloc(3, 8));
        return 0;
    });
    require_abort([] {
        void* const block = std::malloc(8);
        const HeapGuard guard;
        keep(std::realloc(block, 4096));
        return 0;
    });
    require_abort([] {
        const HeapGuard guard;
        void* block = nullptr;
        if (::posix_memalign(&block, 64, 64) != 0) {
            return 1;
        }
        keep(block);
        return 0;
    });
    require_abort([] {
        const HeapGuard guard;
        keep(::strdup("a copy"));
        return 0;
    });
}

TEST_CASE("a permit lets a test allocate inside an armed scope, and the guard is armed again after it") {
    require_abort([] {
        const HeapGuard guard;
        const HeapGuard nested;
        {
            const HeapPermit permit;
            const std::unique_ptr<int> number = std::make_unique<int>(7);
            keep(number.get());
        }
        keep(std::malloc(24));
        return 0;
    });
    const HeapGuard guard;
    const HeapPermit permit;
    CHECK_FALSE(weir::test::heap_guard::armed());
}

TEST_CASE("the guard is disarmed at the end of its scope") {
    { const HeapGuard guard; }
    CHECK_FALSE(weir::test::heap_guard::armed());
    std::free(std::malloc(24));
}

TEST_CASE("freeing is allowed while armed") {
    void* const block = std::malloc(24);
    keep(block);
    {
        const HeapGuard guard;
        std::free(block);
    }
}

TEST_CASE("the guard of one thread leaves other threads alone") {
    const weir::test::ChildEnd end = weir::test::run_in_child([] {
        std::thread other([] {
            // Armed only here, while the main thread allocates.
            const HeapGuard guard;
        });
        keep(std::malloc(24));
        other.join();
        return 0;
    });
    CHECK(end.exit_status == 0);
}

TEST_CASE("a thread may be started while the guard is armed, and is not armed itself") {
    pthread_t thread{};
    int created = -1;
    {
        const HeapGuard guard;
        created = ::pthread_create(
            &thread, nullptr,
            [](void*) -> void* {
                void* const block = std::malloc(24);
                keep(block);
                std::free(block);
                return nullptr;
            },
            nullptr);
    }
    REQUIRE(created == 0);
    REQUIRE(::pthread_join(thread, nullptr) == 0);
}
