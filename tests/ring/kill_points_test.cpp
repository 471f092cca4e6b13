// SPDX-License-Identifier: MIT
#include "ring/kill_points.hpp"

#include "support/catch.hpp"

namespace {

using namespace weir::test;
using weir::ipc::ring::Site;

void check_all_survived(const KillCounts& counts) {
    INFO(counts.first_failure);
    CHECK(counts.first_failure.empty());
    CHECK(counts.points > 50);
    CHECK(counts.survived == counts.points);
}
void check_died_around(const KillCounts& counts, Site site) {
    const auto index = static_cast<std::size_t>(site);
    INFO("site " << index);
    CHECK(counts.before[index] > 0);
    CHECK(counts.after[index] > 0);
}

}  // namespace

TEST_CASE(
    "a writer that dies at any store leaves all that it committed, whole and in order, and wakes its "
    "reader") {
    const KillCounts counts = kill_ring_writers();
    check_all_survived(counts);
    for (const Site site : {Site::publish, Site::announce, Site::withdraw, Site::record_header,
                            Site::pad_header, Site::payload, Site::bell})
        check_died_around(counts, site);
    CHECK(counts.middle[static_cast<std::size_t>(Site::payload)] > 0);
    CHECK(counts.middle[static_cast<std::size_t>(Site::record_header)] > 0);
}

TEST_CASE(
    "a reader that dies at any store leaves to its successor what it had not released, and wakes its "
    "writer") {
    const KillCounts counts = kill_ring_readers();
    check_all_survived(counts);
    for (const Site site : {Site::publish, Site::announce, Site::withdraw, Site::bell})
        check_died_around(counts, site);
}
