// SPDX-License-Identifier: MIT
#include <weir/ipc/topic/layout.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <set>

namespace {

using namespace weir::ipc::topic;

constexpr std::uint64_t line = 64;
constexpr std::uint64_t page = 4'096;
constexpr std::uint64_t image = std::uint64_t{4} << 20;

std::uint64_t stride_of(std::uint64_t size) {
    return SampleShape{.size = size, .alignment = 8, .layout = 0, .valid = nullptr}.stride();
}

TEST_CASE("samples are packed, and those of a line and more begin on one") {
    CHECK(stride_of(1) == 8);
    CHECK(stride_of(56) == 56);
    CHECK(stride_of(64) == 64);
    CHECK(stride_of(65) == 128);
    CHECK(stride_of(4'097) == 4'160);
}

TEST_CASE("samples of whole pages begin in different places of the caches") {
    for (const std::uint64_t size : {page, 2 * page, 16 * page, image}) {
        INFO(size);
        std::set<std::uint64_t> lines;
        for (std::uint64_t slot = 0; slot < 16; ++slot) lines.insert(slot * stride_of(size) % page);
        CHECK(lines.size() == 16);
        CHECK(stride_of(size) % line == 0);
        CHECK(stride_of(size) <= size + page + line);
    }
    // A TLB has at least 16 sets, chosen by the page's number.
    std::set<std::uint64_t> sets;
    for (std::uint64_t slot = 0; slot < 16; ++slot) sets.insert(slot * stride_of(image) / page % 16);
    CHECK(sets.size() == 16);
}

TEST_CASE("spare slots make scans rare, for large samples at the price of a quarter of the depth") {
    CHECK(spare_slots(2, 16, line) == 64);
    CHECK(spare_slots(1'000, 16, 8) == 1'000);
    CHECK(spare_slots(2, 16, page) == 16);
    CHECK(spare_slots(2, 16, image) == 4);
    CHECK(spare_slots(2, 2, image) == 0);
    CHECK(spare_slots(2, 1'024, image) == 64);
}

}  // namespace
