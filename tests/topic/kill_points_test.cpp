// SPDX-License-Identifier: MIT
#include "topic/kill_points.hpp"

#include <weir/ipc/topic/atomics.hpp>

#include "support/catch.hpp"

#include <initializer_list>

namespace {

using namespace weir::test;
using weir::ipc::topic::Site;

void check_all_survived(const KillCounts& counts, std::initializer_list<Site> sites) {
    INFO(counts.first_failure);
    CHECK(counts.first_failure.empty());
    CHECK(counts.points > 50);
    CHECK(counts.survived == counts.points);
    for (const Site site : sites) {
        const auto index = static_cast<std::size_t>(site);
        INFO("site " << index);
        CHECK(counts.before[index] > 0);
        CHECK(counts.after[index] > 0);
    }
}

}  // namespace

TEST_CASE(
    "a publisher that dies at any store leaves every sample that is there whole, and wakes its subscriber") {
    check_all_survived(kill_topic_publishers(),
                       {Site::unlink, Site::link_slot, Site::link, Site::publish, Site::bell});
    check_all_survived(kill_waiting_topic_publishers(),
                       {Site::unlink, Site::link_slot, Site::link, Site::publish, Site::bell, Site::announce,
                        Site::withdraw});
}

TEST_CASE("a subscriber that dies at any store neither holds up its publisher nor keeps its slots") {
    check_all_survived(kill_topic_subscribers(),
                       {Site::pin, Site::unpin, Site::position, Site::announce, Site::withdraw, Site::bell});
}
