// SPDX-License-Identifier: MIT
//
// The topic of samples: acquisition publishes, whoever may looks on.
//
// A slot holds one record of wire.hpp: a JoinedSample, a Setting or a RecordingEnd. The topic keeps the last of them, and
// overwrites the oldest: a subscriber that is slow or dead holds up nobody. Nothing that the detector still needs is
// overwritten all the same, since acquisition publishes no further ahead of what the detector has saved (TakenUpTo) than
// the topic keeps. So a detector that dies leaves to its successor all that is not in the state; what is in both, its
// sequence tells.
#pragma once

#include "wire.hpp"

#include <weir/ipc.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace leak {

inline constexpr weir::ipc::TopicName sample_topic{"samples"};

struct SampleSlot {
    std::array<std::byte, std::max({joined_sample_bytes, setting_bytes, recording_end_bytes})> bytes;
};
static_assert(sizeof(SampleSlot) % 8 == 0);

inline constexpr std::uint32_t samples_kept = 128;  // two minutes of a loop in real time
/// The detector and its successor, the alarm server and its successor, the logger and its successor.
inline constexpr std::uint32_t sample_subscribers_max = 6;

using SamplePublisher = weir::ipc::Publisher<SampleSlot>;
using SampleSubscriber = weir::ipc::Subscriber<SampleSlot>;

}  // namespace leak
