// SPDX-License-Identifier: MIT
#include <weir/core/heap.hpp>

#include "support/catch.hpp"
#include "support/run.hpp"

#include <memory>
#include <random>
#include <set>
#include <vector>

namespace {

struct Item : weir::HeapNode {
    int key = 0;
    bool inside = false;
};
struct Less {
    bool operator()(const Item& left, const Item& right) const noexcept { return left.key < right.key; }
};
using Heap = weir::Heap<Item, Less>;

}  // namespace

TEST_CASE("a heap gives the smallest first and lets any item go") {
    weir::test::for_each_seed([](std::uint64_t seed) {
        std::mt19937_64 random(seed);
        const std::unique_ptr<Item[]> items(new Item[200]);
        const int range = random() % 2 == 0 ? 1'000'000 : 10;  // many equal keys too
        Heap heap;
        std::multiset<int> expected;
        for (int step = 0; step < 4'000; ++step) {
            Item& item = items[static_cast<std::size_t>(random() % 200)];
            if (random() % 4 == 0 && !expected.empty()) {
                Item& popped = heap.pop();
                REQUIRE(popped.inside);
                REQUIRE(popped.key == *expected.begin());
                popped.inside = false;
                expected.erase(expected.begin());
            } else if (item.inside) {
                heap.remove(item);
                item.inside = false;
                expected.erase(expected.find(item.key));
            } else {
                item.key = static_cast<int>(random() % static_cast<unsigned>(range));
                heap.push(item);
                item.inside = true;
                expected.insert(item.key);
            }
            REQUIRE(heap.empty() == expected.empty());
            if (!expected.empty()) REQUIRE(heap.top().key == *expected.begin());
        }
        while (!expected.empty()) {
            REQUIRE(heap.pop().key == *expected.begin());
            expected.erase(expected.begin());
        }
        REQUIRE(heap.empty());
    });
}

TEST_CASE("a heap of a hundred thousand items in any order of arrival does not deepen the stack") {
    // Two-pass merging in loops: recursion would be as deep as the longest list of siblings.
    constexpr int count = 100'000;
    const std::unique_ptr<Item[]> items(new Item[count]);
    for (const bool rising : {true, false}) {
        Heap heap;
        for (int i = 0; i < count; ++i) {
            items[static_cast<std::size_t>(i)].key = rising ? i : count - i;
            heap.push(items[static_cast<std::size_t>(i)]);
        }
        int last = -1;
        for (int i = 0; i < count; ++i) {
            const int key = heap.pop().key;
            if (key < last) FAIL("out of order");
            last = key;
        }
        CHECK(heap.empty());
    }
}
