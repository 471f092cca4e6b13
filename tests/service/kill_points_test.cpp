// SPDX-License-Identifier: MIT
#include "service/kill_points.hpp"

#include "support/catch.hpp"

namespace {

using namespace weir::test;
using weir::ipc::ring::Site;

void check_all_survived(const KillCounts& counts) {
    INFO(counts.first_failure);
    CHECK(counts.first_failure.empty());
    CHECK(counts.points > 50);
    CHECK(counts.survived == counts.points);
    // Nobody waits for room, so nobody but a reader of entries announces sleep.
    for (const Site site :
         {Site::publish, Site::announce, Site::withdraw, Site::entry, Site::payload, Site::bell}) {
        const auto index = static_cast<std::size_t>(site);
        INFO("site " << index);
        CHECK(counts.before[index] > 0);
        CHECK(counts.after[index] > 0);
    }
    CHECK(counts.middle[static_cast<std::size_t>(Site::payload)] > 0);
    CHECK(counts.middle[static_cast<std::size_t>(Site::entry)] > 0);
}

}  // namespace

TEST_CASE("a client that dies at any store leaves whole requests, each seen once, and wakes its server") {
    check_all_survived(kill_service_clients());
}

TEST_CASE("a server that dies at any store leaves whole replies, each given out once, and wakes its client") {
    check_all_survived(kill_service_servers());
}
