// SPDX-License-Identifier: MIT
//
// usage: named_ring_kills [KILLS]
//
// Kills the writer and the reader of a named ring at random, 2,000 times if nothing is said, with at least 1,000 numbered
// records between two kills, and prints
//
//     random kills N, lost 0, left 0
//
// Fails if a record was lost, a file is left, or a side waits for ever. What came again is said on standard error.
#include "ring/named_random_kills.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
    const auto kills = static_cast<std::uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 2'000);
    const auto result = weir::test::kill_named_ring_sides(kills, 1'000, 1);
    std::fprintf(stderr, "%" PRIu64 " records, %" PRIu64 " of them again\n", result.records, result.again);
    if (!result.failure.empty()) std::fprintf(stderr, "%s\n", result.failure.c_str());
    std::printf("random kills %" PRIu32 ", lost %" PRIu64 ", left %" PRIu64 "\n", result.kills, result.lost,
                result.left);
    return result.kills >= kills && result.lost == 0 && result.left == 0 && result.failure.empty() ? 0 : 1;
}
