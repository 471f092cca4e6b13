// SPDX-License-Identifier: MIT
#pragma once

#include <weir/ipc/topic/topic.hpp>

#include "io/running.hpp"
#include "io/temporary_directory.hpp"

namespace weir::test {

struct Pose {
    std::uint64_t number;
    double x_m;
    double y_m;
};
inline constexpr ipc::TopicName pose_topic{"test/pose"};

inline Pose pose_of(std::uint64_t number) noexcept {
    const auto x = static_cast<double>(number);
    return {.number = number, .x_m = x * 0.5, .y_m = -x};
}
inline bool whole(const Pose& pose, std::uint64_t number) noexcept {
    const Pose expected = pose_of(number);
    return std::memcmp(&pose, &expected, sizeof(pose)) == 0;
}

/// A runtime directory of its own for one test.
struct Place {
    Place() : directory(*ipc::RuntimeDirectory::at(temporary.path())) {}
    [[nodiscard]] ipc::PublisherOptions publishes(
        std::uint32_t depth, ipc::TopicPolicy policy = ipc::TopicPolicy::overwrite_oldest) const {
        return {.depth = depth, .policy = policy, .link = {.directory = &directory}};
    }
    [[nodiscard]] ipc::SubscriberOptions subscribes(std::uint32_t history = 0) const {
        return {.history = history, .link = {.directory = &directory}};
    }
    [[nodiscard]] ipc::SubscriberOptions subscribes_as_stranger() const {
        return {.link = {.trust = ipc::LinkTrust::nobody, .directory = &directory}};
    }

    TemporaryDirectory temporary;
    ipc::RuntimeDirectory directory;
};

template <class Body>
void on_each(Body body) {
    for_each_seed([&](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run(body(*running, place));
    });
}

/// Publishes the numbers from `from` up to `to`.
inline Task<> put(Scheduler&, ipc::Publisher<Pose>& publisher, std::uint64_t from, std::uint64_t to) {
    using namespace std::chrono_literals;
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto sample, publisher.loan().within(10s));
        *sample = pose_of(i);
        sample.publish();
    }
}
/// Takes them, without a gap; `offset` is the number of the publisher's first sample.
inline Task<> expect(Scheduler&, ipc::Subscriber<Pose>& subscriber, std::uint64_t from, std::uint64_t to) {
    using namespace std::chrono_literals;
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto sample, subscriber.next().within(10s));
        CHECK_IN_TASK(whole(*sample, i));
        CHECK_IN_TASK(sample.missed() == 0);
    }
}

}  // namespace weir::test
