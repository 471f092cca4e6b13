// SPDX-License-Identifier: MIT
//
// What a valve is asked and answers, in both programs.
#pragma once

#include <weir/ipc.hpp>

#include <cstdint>

struct ValveRequest {
    std::int32_t percent;  ///< how far to open; -1: tell where it is while it moves
    std::uint32_t steps;   ///< how often to tell
};
struct ValvePosition {
    std::int32_t percent;
};
using Valve = weir::ipc::Service<ValveRequest, ValvePosition>;

/// Why a request is rejected.
enum class ValveStatus : std::uint32_t { beyond_its_range = 1 };

inline constexpr weir::ipc::ServiceName valve_name{"example/valve"};
