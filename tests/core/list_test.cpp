// SPDX-License-Identifier: MIT
#include <weir/core/list.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"

#include <csignal>
#include <deque>
#include <random>
#include <vector>

namespace {

struct Other;

struct Item : weir::ListNode<>, weir::ListNode<Other> {
    int number = 0;
};

using Links = weir::ListNode<>;
using OtherLinks = weir::ListNode<Other>;

int number_of(weir::ListNode<>& node) {
    return static_cast<Item&>(node).number;
}

std::vector<int> numbers_in(weir::List<>& list) {
    std::vector<int> numbers;
    list.for_each([&](weir::ListNode<>& node) { numbers.push_back(number_of(node)); });
    return numbers;
}

}  // namespace

TEST_CASE("a list keeps the order of its items and lets any of them go") {
    std::mt19937 random(7);
    std::vector<Item> items(20);
    for (int i = 0; i < 20; ++i) items[static_cast<std::size_t>(i)].number = i;
    weir::List<> list;
    std::deque<int> expected;
    for (int step = 0; step < 5'000; ++step) {
        Item& item = items[random() % items.size()];
        if (item.Links::linked()) {
            item.Links::unlink();
            std::erase(expected, item.number);
        } else if (random() % 2 == 0) {
            list.push_back(item);
            expected.push_back(item.number);
        } else {
            list.push_front(item);
            expected.push_front(item.number);
        }
        REQUIRE(list.empty() == expected.empty());
        REQUIRE(numbers_in(list) == std::vector<int>(expected.begin(), expected.end()));
        if (!expected.empty()) REQUIRE(number_of(list.front()) == expected.front());
    }
    while (!list.empty()) {
        CHECK(number_of(list.pop_front()) == expected.front());
        expected.pop_front();
    }
    CHECK(expected.empty());
}

TEST_CASE("an item can be in two lists by two links") {
    Item item;
    weir::List<> list;
    weir::List<Other> other;
    list.push_back(item);
    other.push_back(item);
    item.Links::unlink();
    CHECK(list.empty());
    CHECK(!other.empty());
    CHECK(item.OtherLinks::linked());
    item.OtherLinks::unlink();
}

TEST_CASE("a visitor may unlink the item it visits") {
    Item items[5];
    weir::List<> list;
    for (int i = 0; i < 5; ++i) {
        items[i].number = i;
        list.push_back(items[i]);
    }
    list.for_each([](weir::ListNode<>& node) {
        if (number_of(node) % 2 == 0) node.unlink();
    });
    CHECK(numbers_in(list) == std::vector<int>{1, 3});
    while (!list.empty()) list.pop_front();
}

TEST_CASE("an item that dies linked is a bug and says so") {
    const auto end = weir::test::run_in_child([] {
        weir::List<> list;
        Item item;
        list.push_back(item);
        return 0;
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.errors.find("assertion failed") != std::string::npos);
}
