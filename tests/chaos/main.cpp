// SPDX-License-Identifier: MIT
//
// Kills a process at every store of each object that processes share, checks the survivors, and prints
//
//     kill points N, survived N
//
// Fails if one did not survive; what went wrong is on standard error. The tests run the same deaths and check besides
// that each place in the source was among them.
#include "ring/kill_points.hpp"
#include "service/kill_points.hpp"
#include "topic/kill_points.hpp"

#include <cstdio>

namespace {

struct Object {
    const char* name;
    weir::test::KillCounts (*kill)();
};
constexpr Object objects[] = {
    {"ring, writer", weir::test::kill_ring_writers},
    {"ring, reader", weir::test::kill_ring_readers},
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
    for (const Object& object : objects) {
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
