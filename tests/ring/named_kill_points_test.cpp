// SPDX-License-Identifier: MIT
#include "ring/named_kill_points.hpp"

#include "support/catch.hpp"
#include "support/skip.hpp"

namespace {

using namespace weir::test;
using weir::ipc::ring::Site;

void check_all_survived(const KillCounts& counts) {
    INFO(counts.first_failure);
    CHECK(counts.first_failure.empty());
    CHECK(counts.points > 50);
    CHECK(counts.survived == counts.points);
}
void check_died_around(const KillCounts& counts, std::initializer_list<Site> sites) {
    for (const Site site : sites) {
        const auto index = static_cast<std::size_t>(site);
        INFO("site " << index);
        CHECK(counts.before[index] > 0);
        CHECK(counts.after[index] > 0);
    }
}

}  // namespace

TEST_CASE("a named ring's writer that dies at any store has a successor that goes on without a gap") {
    const KillCounts counts = kill_named_ring_writers();
    check_all_survived(counts);
    check_died_around(counts,
                      {Site::holder, Site::publish, Site::announce, Site::withdraw, Site::record_header,
                       Site::pad_header, Site::payload, Site::claim, Site::bell});
    CHECK(counts.middle[static_cast<std::size_t>(Site::payload)] > 0);
    CHECK(counts.middle[static_cast<std::size_t>(Site::record_header)] > 0);
}

TEST_CASE(
    "a named ring's reader that dies at any store has a successor that begins with what was not released") {
    const KillCounts counts = kill_named_ring_readers();
    check_all_survived(counts);
    check_died_around(counts, {Site::holder, Site::publish, Site::announce, Site::withdraw, Site::bell});
}

TEST_CASE("a named ring survives a death at any system call of making, using and removing it") {
    if (!may_trace_children()) skip("this process may not trace its children");
    check_all_survived(kill_named_rings_at_calls());
}
