// SPDX-License-Identifier: MIT
#include <weir/core/inline_vector.hpp>

#include "support/catch.hpp"
#include "support/heap_guard.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

using weir::InlineVector;

namespace {

struct Counted {
    static inline int live = 0;
    int number;
    explicit Counted(int value) : number(value) { ++live; }
    Counted(const Counted& other) : number(other.number) { ++live; }
    Counted(Counted&& other) noexcept : number(std::exchange(other.number, -1)) { ++live; }
    Counted& operator=(const Counted& other) = default;
    Counted& operator=(Counted&& other) noexcept {
        number = std::exchange(other.number, -1);
        return *this;
    }
    ~Counted() { --live; }
};

}  // namespace

TEST_CASE("a full vector refuses and stays as it is") {
    InlineVector<int, 3> numbers;
    CHECK(numbers.empty());
    CHECK(numbers.push_back(1));
    CHECK(numbers.push_back(2));
    CHECK(!numbers.full());
    CHECK(numbers.emplace_back(3));
    CHECK(numbers.full());
    CHECK(!numbers.push_back(4));
    CHECK(numbers.size() == 3);
    CHECK(std::vector<int>(numbers.begin(), numbers.end()) == std::vector<int>{1, 2, 3});
}

TEST_CASE("erasing keeps the order of the others") {
    InlineVector<std::string, 4> words;
    for (const char* word : {"a", "b", "c", "d"}) words.push_back(word);
    words.erase_at(1);
    CHECK(std::vector<std::string>(words.begin(), words.end()) == std::vector<std::string>{"a", "c", "d"});
    words.erase_at(2);
    words.erase_at(0);
    CHECK(words.size() == 1);
    CHECK(words[0] == "c");
}

TEST_CASE("each item is destroyed exactly once") {
    {
        InlineVector<Counted, 8> items;
        for (int i = 0; i < 8; ++i) items.emplace_back(i);
        CHECK(Counted::live == 8);
        items.pop_back();
        items.erase_at(0);
        CHECK(Counted::live == 6);
        InlineVector<Counted, 8> copy(items);
        CHECK(Counted::live == 12);
        const InlineVector<Counted, 8> moved(std::move(items));
        CHECK(Counted::live == 12);
        CHECK(moved[0].number == 1);
        copy = moved;
        CHECK(Counted::live == 12);
        copy.clear();
        CHECK(Counted::live == 6);
    }
    CHECK(Counted::live == 0);
}

TEST_CASE("a vector holds move-only items and is moved with them") {
    InlineVector<std::unique_ptr<int>, 2> boxes;
    boxes.push_back(std::make_unique<int>(5));
    InlineVector<std::unique_ptr<int>, 2> others;
    others.push_back(std::make_unique<int>(6));
    others = std::move(boxes);
    REQUIRE(others.size() == 1);
    CHECK(*others[0] == 5);
}

TEST_CASE("a vector reads as a span and takes nothing from the heap") {
    const weir::test::HeapGuard guard;
    InlineVector<int, 64> numbers;
    for (int i = 0; i < 64; ++i) numbers.push_back(i);
    int sum = 0;
    for (const int number : std::span<const int>(numbers)) sum += number;
    const weir::test::HeapPermit permit;
    CHECK(sum == 64 * 63 / 2);
}
