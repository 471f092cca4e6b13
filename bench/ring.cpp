// SPDX-License-Identifier: MIT

#include "ring.hpp"

#include <cstdio>
#include <cstdlib>

#include <sys/wait.h>
#include <unistd.h>

namespace bench {

namespace {

double measure(const RingSides& sides, std::size_t operations) {
    if (sides.cores == 1) pin_to_core(0);
    Batches batches(operations, sides.batch_operations);
    sides.prepare();
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (sides.begin != nullptr) sides.begin();
    if (child == 0) {
        pin_to_core(0);
        sides.serve(batches.operations());
        _exit(0);
    }
    pin_to_core(sides.cores - 1);
    sides.measure(batches);
    int status = 0;
    if (waitpid(child, &status, 0) != child) fail("waitpid");
    if (sides.clean_up != nullptr) sides.clean_up();
    if (status != 0) {
        std::fprintf(stderr, "the other side failed: status 0x%x\n", static_cast<unsigned>(status));
        std::exit(1);
    }
    return batches.median_ns();
}

}  // namespace

void check_record(std::uint64_t difference) {
    if (difference == 0) return;
    std::fprintf(stderr, "a record was lost or torn\n");
    std::exit(1);
}

int ring_main(std::span<char* const> arguments, std::span<const NamedRing> rings) {
    if (arguments.size() == 3) {
        for (const auto& [name, sides] : rings) {
            if (arguments[1] != name) continue;
            print_ns(measure(sides, count_from(arguments[2])));
            if (sides.report != nullptr) sides.report();
            return 0;
        }
    }
    std::fprintf(stderr, "usage: %s APPROACH OPERATIONS\napproaches:", arguments[0]);
    for (const auto& ring : rings) {
        std::fprintf(stderr, " %.*s", static_cast<int>(ring.name.size()), ring.name.data());
    }
    std::fprintf(stderr, "\n");
    return 2;
}

}  // namespace bench
