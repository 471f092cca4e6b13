// SPDX-License-Identifier: MIT
//
// A death at every store of a topic: of the publisher, and of a subscriber.
//
// Every sample that was published and not overwritten is taken whole and in order, those that were are counted, nobody
// sleeps for ever, and after a subscriber's death the publisher goes on with the others.
#pragma once

#include "ring/kill_harness.hpp"

namespace weir::test {

/// Kills a publisher that overwrites the oldest at each of its stores.
[[nodiscard]] KillCounts kill_topic_publishers();
/// Kills one that waits for its subscriber.
[[nodiscard]] KillCounts kill_waiting_topic_publishers();
/// Kills a subscriber that its publisher waits for.
[[nodiscard]] KillCounts kill_topic_subscribers();

}  // namespace weir::test
