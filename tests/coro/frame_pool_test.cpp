// SPDX-License-Identifier: MIT
#include <weir/coro/frame_pool.hpp>

#include "support/catch.hpp"
#include "support/run.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <vector>

using weir::FrameClass;
using weir::FramePool;

namespace {

template <std::size_t size>
struct Arena {
    alignas(16) std::array<std::byte, size> bytes;
    FramePool pool{bytes.data(), size};
};

}  // namespace

TEST_CASE("every size has a class that holds it, and wastes at most a quarter of a block or 32 bytes") {
    for (std::size_t size = 1; size <= FramePool::size_max; ++size) {
        const std::size_t index = FramePool::class_of(size);
        REQUIRE(index < FramePool::class_count);
        const std::size_t block = FramePool::size_of_class(index);
        REQUIRE(block >= size);
        REQUIRE(block % FramePool::alignment == 0);
        if (index > 0) REQUIRE(FramePool::size_of_class(index - 1) < size);
        REQUIRE(block - size < std::max<std::size_t>(32, block / 4));
    }
}

TEST_CASE("blocks do not overlap, are aligned, and are used again") {
    weir::test::for_each_seed([](std::uint64_t seed) {
        std::mt19937_64 random(seed);
        Arena<64 * 1024> arena;
        std::vector<std::pair<unsigned char*, std::size_t>> live;
        std::size_t refused = 0;
        for (int step = 0; step < 5'000; ++step) {
            if (random() % 2 == 0 && !live.empty()) {
                const std::size_t index = static_cast<std::size_t>(random() % live.size());
                const auto [memory, size] = live[index];
                REQUIRE(std::all_of(memory, memory + size,
                                    [expected = static_cast<unsigned char>(size)](unsigned char byte) {
                                        return byte == expected;
                                    }));
                arena.pool.release(memory, size);
                live.erase(live.begin() + static_cast<std::ptrdiff_t>(index));
                continue;
            }
            const std::size_t size =
                static_cast<std::size_t>(8 + random() % (random() % 4 == 0 ? 5'000 : 300));
            void* const memory = arena.pool.allocate(size);
            if (memory == nullptr) {
                ++refused;
                REQUIRE(arena.pool.refused_size() == size);
                continue;
            }
            REQUIRE(reinterpret_cast<std::uintptr_t>(memory) % FramePool::alignment == 0);
            std::memset(memory, static_cast<int>(size & 0xff), size);
            live.emplace_back(static_cast<unsigned char*>(memory), size);
            REQUIRE(arena.pool.live() == live.size());
        }
        REQUIRE(arena.pool.cut_size() <= arena.pool.capacity());
        for (const auto& [memory, size] : live) arena.pool.release(memory, size);
        REQUIRE(arena.pool.live() == 0);
        std::size_t cut = 0;
        for (std::size_t i = 0; i < FramePool::class_count; ++i) {
            const auto usage = arena.pool.usage(i);
            REQUIRE(usage.in_use == 0);
            REQUIRE(usage.blocks == usage.peak);
            cut += usage.blocks * usage.size;
        }
        REQUIRE(cut == arena.pool.cut_size());
    });
}

TEST_CASE("a program that fits by the rule of peaks is never refused, however long it runs") {
    std::mt19937_64 random(3);
    constexpr std::size_t sizes[] = {48, 100, 200, 700};
    constexpr std::size_t peaks[] = {10, 8, 6, 4};
    std::size_t needed = 0;
    for (std::size_t i = 0; i < 4; ++i)
        needed += peaks[i] * FramePool::size_of_class(FramePool::class_of(sizes[i]));
    Arena<8 * 1024> arena;
    REQUIRE(needed <= 8 * 1024);
    FramePool pool(arena.bytes.data(), needed);
    std::vector<void*> live[4];
    for (int step = 0; step < 100'000; ++step) {
        const std::size_t kind = random() % 4;
        if (random() % 2 == 0 && live[kind].size() < peaks[kind]) {
            void* const memory = pool.allocate(sizes[kind]);
            if (memory == nullptr) FAIL("refused");
            live[kind].push_back(memory);
        } else if (!live[kind].empty()) {
            pool.release(live[kind].back(), sizes[kind]);
            live[kind].pop_back();
        }
    }
    for (std::size_t i = 0; i < 4; ++i) {
        for (void* memory : live[i]) pool.release(memory, sizes[i]);
    }
}

TEST_CASE("a frame larger than any class, or than what is left, is refused") {
    Arena<1'024> arena;
    CHECK(arena.pool.allocate(FramePool::size_max + 1) == nullptr);
    CHECK(arena.pool.refused_size() == FramePool::size_max + 1);
    void* const first = arena.pool.allocate(600);
    CHECK(first != nullptr);
    CHECK(arena.pool.allocate(600) == nullptr);
    void* const second = arena.pool.allocate(100);
    CHECK(second != nullptr);
    arena.pool.release(first, 600);
    arena.pool.release(second, 100);
}

TEST_CASE("blocks cut in advance are there, and no more of them") {
    Arena<1'024> arena;
    const FrameClass classes[] = {{64, 4}, {200, 2}, {0, 0}};
    REQUIRE(arena.pool.cut_in_advance(classes));
    CHECK(arena.pool.cut_size() == 4 * 64 + 2 * 224);
    CHECK(arena.pool.live() == 0);
    CHECK(arena.pool.usage(FramePool::class_of(200)).blocks == 2);
    void* const first = arena.pool.allocate(200);
    void* const second = arena.pool.allocate(210);
    CHECK(first != nullptr);
    CHECK(second != nullptr);
    CHECK(arena.pool.cut_size() == 4 * 64 + 2 * 224);
    arena.pool.release(first, 200);
    arena.pool.release(second, 210);
}

TEST_CASE("classes that do not fit cut nothing at all") {
    Arena<1'024> arena;
    const FrameClass too_many[] = {{64, 4}, {200, 4}};
    CHECK(!arena.pool.cut_in_advance(too_many));
    CHECK(arena.pool.cut_size() == 0);
    const FrameClass too_large[] = {{64, 1}, {40'000, 1}};
    CHECK(!arena.pool.cut_in_advance(too_large));
    CHECK(arena.pool.cut_size() == 0);
    const FrameClass absurd[] = {{32'768, 0xffff'ffff}, {32'768, 0xffff'ffff}};
    CHECK(!arena.pool.cut_in_advance(absurd));
    CHECK(arena.pool.cut_size() == 0);
}

TEST_CASE("a block that was cut before counts among those to cut in advance") {
    // A root task's frame exists before its scheduler starts.
    Arena<512> arena;
    void* const root = arena.pool.allocate(250);
    const FrameClass classes[] = {{256, 1}, {250, 1}};
    CHECK(arena.pool.cut_in_advance(classes));
    CHECK(arena.pool.cut_size() == 512);
    arena.pool.release(root, 250);
}

TEST_CASE("the count-th allocation is refused, once") {
    Arena<1'024> arena;
    arena.pool.refuse_in(3);
    void* blocks[4];
    for (void*& block : blocks) block = arena.pool.allocate(50);
    CHECK(blocks[0] != nullptr);
    CHECK(blocks[1] != nullptr);
    CHECK(blocks[2] == nullptr);
    CHECK(blocks[3] != nullptr);
    CHECK(arena.pool.refused_size() == 50);
    for (void* block : blocks) {
        if (block != nullptr) arena.pool.release(block, 50);
    }
}
