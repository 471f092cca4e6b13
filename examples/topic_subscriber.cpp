// SPDX-License-Identifier: MIT
//
// Samples through shared memory, a subscribing side: see topic_publisher.cpp for how to run both.
//
// Shows: waiting for a name to be served, history for who comes late, the latest value, samples used in place, how many
// were missed, and the end. With `.successor = weir::ipc::Successor::await` it would wait for the next publisher.
#include "topic_pose.hpp"

#include <weir/weir.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

Task<> subscribe(Scheduler& scheduler) {
    weir::ipc::SubscriberOptions options;
    options.history = 3;
    WEIR_CO_TRY(auto poses, weir::ipc::Subscriber<Pose>::open(scheduler, pose_topic, options).within(60s));
    for (;;) {
        auto next = co_await poses.next().within(60s);
        if (!next && next.error() == weir::Errc::ended) break;
        WEIR_CO_TRY(const auto pose, std::move(next));
        std::printf("pose %u: %d mm, %d mm; missed %u\n", static_cast<unsigned>(pose.sequence()), pose->x_mm,
                    pose->y_mm, static_cast<unsigned>(pose.missed()));
    }  // let go of at the end of each round
    WEIR_CO_TRY(const auto last, poses.latest());
    std::printf("the publisher has closed, at %d mm, %d mm\n", last->x_mm, last->y_mm);
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, subscribe);
}
