// SPDX-License-Identifier: MIT
//
// The ring of shared memory in which samples travel from acquisition to the detector.
//
// A slot holds one record of wire.hpp: a JoinedSample, a Setting or a RecordingEnd. Acquisition owns the ring. The
// detector releases a slot when what it did with it is saved, so a detector that dies leaves to its successor all that
// is not in the state; at most one record is in both, and its sequence tells.
#pragma once

#include "wire.hpp"

#include <weir/ipc.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace leak {

inline constexpr weir::ipc::RingName sample_ring{"samples"};

struct SampleSlot {
    std::array<std::byte, std::max({joined_sample_bytes, setting_bytes, recording_end_bytes})> bytes;
};
static_assert(sizeof(SampleSlot) % 8 == 0);

inline constexpr std::uint32_t sample_slots = 128;  // two minutes of a loop in real time

using SampleWriter = weir::ipc::RingWriter<SampleSlot>;
using SampleReader = weir::ipc::RingReader<SampleSlot>;

}  // namespace leak
