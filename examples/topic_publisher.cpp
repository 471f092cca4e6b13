// SPDX-License-Identifier: MIT
//
// Samples through shared memory to whoever wants them, the publishing side. In two shells, or more, in any order:
//
//     WEIR_RUNTIME_DIR=/tmp/example build/gcc/examples/topic_publisher
//     WEIR_RUNTIME_DIR=/tmp/example build/gcc/examples/topic_subscriber
//
// Shows: a topic served under a name, filling a sample in place, and that a publisher waits for nobody: subscribers come
// and go, and one that is too slow misses samples. `weir stat example/pose` shows who is there meanwhile.
#include "topic_pose.hpp"

#include <weir/weir.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

Task<> publish(Scheduler& scheduler) {
    // Its memory is all there from now on, for the last 16 samples and those that its subscribers hold.
    WEIR_CO_TRY(auto publisher, weir::ipc::Publisher<Pose>::create(scheduler, pose_topic, {.depth = 16}));
    for (std::int32_t i = 0; i < 11; ++i) {
        // The first six nobody sees when they come; who joins later may ask for them.
        while (i == 6 && publisher.subscribers() == 0) WEIR_CO_CHECK(weir::sleep_for(5ms));
        if (i > 6) WEIR_CO_CHECK(weir::sleep_for(20ms));
        WEIR_CO_TRY(auto sample, publisher.loan());
        *sample = {.taken_ns = static_cast<std::uint64_t>(weir::to_ns(scheduler.now())),
                   .x_mm = 100 * i,
                   .y_mm = 20 * i * i};
        sample.publish();  // a system call only for those that sleep; a loan that is dropped was never there
    }
    std::printf("published %u\n", static_cast<unsigned>(publisher.published()));
}  // closed here: subscribers take what is there, then learn that it ended

int main(int argc, char** argv) {
    // One link for the name and one for each subscriber.
    constexpr weir::Budget budget{.frame_bytes = 16 * 1024, .submissions = 32, .descriptors = 32, .links = 5};
    return weir::run_main<budget>(argc, argv, publish);
}
