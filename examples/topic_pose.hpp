// SPDX-License-Identifier: MIT
//
// What topic_publisher and topic_subscriber agree on: a name, and one type of sample.
#pragma once

#include <weir/ipc.hpp>

#include <cstdint>

/// Fixed-width fields without padding: the same bytes in both programs, also if one of them is 32-bit.
struct Pose {
    std::uint64_t taken_ns;
    std::int32_t x_mm;
    std::int32_t y_mm;
};
inline constexpr weir::ipc::TopicName pose_topic{"example/pose"};
