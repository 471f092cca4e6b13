// SPDX-License-Identifier: MIT
//
// usage: random_kills [KILLS]
//
// Kills (SIGKILL) processes of topics, services, rings and named rings at random, 2,000 of them if nothing is said, with at
// least 1,000 numbered records between two kills, and prints
//
//     random kills N, lost 0, left 0
//
// Fails if something that was promised was lost, a file is left, or somebody waits for ever. What was promised of each
// object its source says; its share is on standard error.
#include "support/random_kills.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <iterator>

namespace {

struct Object {
    const char* name;
    weir::test::RandomKills (*kill)(std::uint64_t kills, std::uint64_t between);
};
constexpr Object objects[] = {
    {"topic", weir::test::kill_topic_processes},
    {"service", weir::test::kill_service_processes},
    {"ring", weir::test::kill_ring_processes},
    {"named ring", weir::test::kill_named_ring_processes},
};
constexpr std::uint64_t between = 1'000;

}  // namespace

int main(int argc, char** argv) {
    const std::uint64_t wanted = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2'000;
    weir::test::RandomKills sum;
    bool failed = false;
    for (std::size_t i = 0; i < std::size(objects); ++i) {
        const auto some = objects[i].kill((wanted - sum.kills) / (std::size(objects) - i), between);
        std::fprintf(stderr,
                     "%s: random kills %" PRIu64 ", records %" PRIu64 ", lost %" PRIu64 ", left %" PRIu64
                     "%s%s\n",
                     objects[i].name, some.kills, some.records, some.lost, some.left,
                     some.failure.empty() ? "" : ": ", some.failure.c_str());
        failed = failed || !some.failure.empty() || some.records < some.kills * between;
        sum.kills += some.kills;
        sum.lost += some.lost;
        sum.left += some.left;
    }
    std::printf("random kills %" PRIu64 ", lost %" PRIu64 ", left %" PRIu64 "\n", sum.kills, sum.lost,
                sum.left);
    const bool passed = !failed && sum.kills >= wanted && sum.lost == 0 && sum.left == 0;
    if (const char* const suite = std::getenv("WEIR_SUITE"); suite != nullptr)
        std::printf("suite %s: %d passed, %d failed, 0 skipped\n", suite, passed ? 1 : 0, passed ? 0 : 1);
    return passed ? 0 : 1;
}
