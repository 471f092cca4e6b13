// SPDX-License-Identifier: MIT
//
// Kills a process at every store of each object that processes share, checks the survivors, and prints
//
//     kill points N, survived N
//
// Fails if one did not survive; what went wrong is on standard error. The tests run the same deaths and check besides
// that each place in the source was among them.
#include "ring/kill_points.hpp"
#include "ring/named_kill_points.hpp"
#include "service/kill_points.hpp"
#include "topic/kill_points.hpp"

#include <cstdio>

namespace {

weir::test::KillCounts kill_named_rings_at_instructions() {
    return weir::test::kill_named_rings_anywhere(100, 1);
}

struct Object {
    const char* name;
    weir::test::KillCounts (*kill)();
    bool traces = false;  // its children
};
constexpr Object objects[] = {
    {"ring, writer", weir::test::kill_ring_writers},
    {"ring, reader", weir::test::kill_ring_readers},
    {"named ring, writer", weir::test::kill_named_ring_writers},
    {"named ring, reader", weir::test::kill_named_ring_readers},
    {"named ring, at system calls", weir::test::kill_named_rings_at_calls, true},
    {"named ring, at instructions", kill_named_rings_at_instructions, true},
    {"service, client", weir::test::kill_service_clients},
    {"service, server", weir::test::kill_service_servers},
    {"topic, publisher", weir::test::kill_topic_publishers},
    {"topic, publisher that waits", weir::test::kill_waiting_topic_publishers},
    {"topic, subscriber", weir::test::kill_topic_subscribers},
};

}  // namespace

int main() {
    unsigned points = 0;
    unsigned survived = 0;
    bool failed = false;
    const bool may_trace = weir::test::may_trace_children();
    for (const Object& object : objects) {
        if (object.traces && !may_trace) {
            std::fprintf(stderr, "%s: left out, since this process may not trace its children\n",
                         object.name);
            continue;
        }
        const auto counts = object.kill();
        points += counts.points;
        survived += counts.survived;
        if (counts.first_failure.empty()) continue;
        failed = true;
        std::fprintf(stderr, "%s: %s\n", object.name, counts.first_failure.c_str());
    }
    std::printf("kill points %u, survived %u\n", points, survived);
    return failed || survived != points || points == 0 ? 1 : 0;
}
