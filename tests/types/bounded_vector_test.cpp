// SPDX-License-Identifier: MIT
#include <weir/ipc/types/bounded_vector.hpp>

#include "support/catch.hpp"

#include <cstring>
#include <numeric>
#include <vector>

using weir::ipc::BoundedVector;
using weir::ipc::is_valid;

namespace {

struct Point {
    double x = 1.5;
    double y = 0;
    friend bool operator==(const Point&, const Point&) = default;
};

// What a peer may do: the size is the first word.
template <class Vector>
void set_size(Vector& vector, std::uint32_t size) {
    std::memcpy(static_cast<void*>(&vector), &size, sizeof(size));
}

}  // namespace

TEST_CASE("a full bounded vector refuses and stays as it is") {
    BoundedVector<std::uint16_t, 3> numbers;
    CHECK(numbers.empty());
    CHECK(numbers.push_back(1));
    CHECK(numbers.push_back(2));
    CHECK(!numbers.full());
    CHECK(numbers.push_back(3));
    CHECK(numbers.full());
    CHECK(!numbers.push_back(4));
    CHECK(std::vector<std::uint16_t>(numbers.begin(), numbers.end()) == std::vector<std::uint16_t>{1, 2, 3});
}

TEST_CASE("assigning takes all or nothing") {
    BoundedVector<Point, 4> points;
    const std::vector<Point> five(5, Point{2, 3});
    REQUIRE(points.assign(std::span(five).first(2)));
    CHECK(points.size() == 2);
    CHECK(points[1] == Point{2, 3});
    CHECK(!points.assign(five));
    CHECK(points.size() == 2);
    CHECK(points.assign({}));
    CHECK(points.empty());
}

TEST_CASE("a bounded vector takes a part of itself") {
    BoundedVector<std::int32_t, 8> numbers;
    REQUIRE(numbers.resize(8));
    std::iota(numbers.begin(), numbers.end(), 0);
    REQUIRE(numbers.assign(std::span<const std::int32_t>(numbers).subspan(3, 4)));
    CHECK(std::vector<std::int32_t>(numbers.begin(), numbers.end()) == std::vector<std::int32_t>{3, 4, 5, 6});
}

TEST_CASE("what is removed does not stay in the record") {
    BoundedVector<std::uint8_t, 6> numbers;
    const std::vector<std::uint8_t> secrets{1, 2, 3, 4, 5, 6};
    const BoundedVector<std::uint8_t, 6> untouched;
    const auto same_bytes = [&] { return std::memcmp(&numbers, &untouched, sizeof(numbers)) == 0; };
    REQUIRE(numbers.assign(secrets));
    REQUIRE(numbers.resize(2));
    REQUIRE(numbers.resize(4));
    CHECK(numbers[1] == 2);
    CHECK(numbers[2] == 0);
    REQUIRE(numbers.assign(secrets));
    REQUIRE(numbers.assign(std::span(secrets).first(1)));
    numbers.pop_back();
    CHECK(same_bytes());
    REQUIRE(numbers.assign(secrets));
    numbers.clear();
    CHECK(same_bytes());
}

TEST_CASE("resizing adds default elements, or nothing") {
    BoundedVector<Point, 4> points;
    CHECK(points.resize(3));
    CHECK(points[2] == Point{});
    CHECK(!points.resize(5));
    CHECK(points.size() == 3);
}

TEST_CASE("vectors are equal when their elements are") {
    BoundedVector<std::uint32_t, 4> left;
    BoundedVector<std::uint32_t, 4> right;
    REQUIRE(left.push_back(1));
    CHECK(!(left == right));
    REQUIRE(right.push_back(1));
    CHECK(left == right);
    REQUIRE(left.push_back(2));
    REQUIRE(right.push_back(3));
    CHECK(left != right);
}

TEST_CASE("elements lie where their alignment allows it") {
    BoundedVector<double, 2> numbers;
    CHECK(static_cast<void*>(numbers.data()) ==
          static_cast<void*>(reinterpret_cast<std::byte*>(&numbers) + 8));
    struct alignas(32) Wide {
        std::array<std::uint64_t, 4> words;
    };
    BoundedVector<Wide, 3> wide;
    CHECK(sizeof(wide) == 4 * 32);
    CHECK(reinterpret_cast<std::uintptr_t>(wide.data()) % 32 == 0);
    CHECK(weir::ipc::require_portable_record<BoundedVector<Wide, 3>>());
}

TEST_CASE("a size that is beyond the capacity leads nobody out of the vector") {
    for (const std::uint32_t size : {4U, 0x7fff'ffffU, 0xffff'ffffU}) {
        BoundedVector<std::uint32_t, 3> numbers;
        set_size(numbers, size);
        CHECK(!is_valid(numbers));
        CHECK(numbers.size() == 3);
        CHECK(numbers.end() - numbers.begin() == 3);
        CHECK(numbers.full());
        CHECK(!numbers.push_back(1));
        numbers.pop_back();
        CHECK(numbers.size() == 2);
        CHECK(is_valid(numbers));
        set_size(numbers, size);
        CHECK(numbers.resize(1));
        CHECK(is_valid(numbers));
        set_size(numbers, size);
        numbers.clear();
        CHECK(numbers == BoundedVector<std::uint32_t, 3>{});
    }
}
