// SPDX-License-Identifier: MIT
//
// The service `control`: what operators ask of acquisition by program, where the FIFO takes lines from people.
//
// A request is a Command; the reply says how things stand once it was obeyed. What is refused comes back as rejected, with
// a ControlRefusal as its status. The path belongs to acquisition's user and is for it and root alone.
#pragma once

#include "commands.hpp"

#include <weir/ipc.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace leak {

inline constexpr weir::ipc::ServiceName control_service{"control"};
inline constexpr std::uint32_t control_clients_max = 3;

struct ControlRequest {
    std::uint32_t kind = 0;  // of Command::Kind, plus one: 0 is none
    std::uint32_t reserved = 0;
    double factor = 0;  // of `threshold`: times the learned percentile
};

/// What is not known yet is 0.
struct ControlStatus {
    std::uint32_t recording = 0;
    std::uint32_t paused = 0;    // 0 or 1
    std::uint32_t watching = 0;  // 0 while it is learned, then 1
    std::uint32_t alarm = 0;     // 0 or 1
    std::uint32_t unqueued_count = 0;
    std::uint32_t reserved = 0;
    std::uint64_t samples_joined = 0;
    std::uint64_t samples_acknowledged = 0;
    std::uint64_t sensor_restarts = 0;
    double statistic = 0;  // T-squared of the last acknowledged sample
    double threshold = 0;
    double factor = 0;  // 0: nobody asked for another than the detector's own
};

enum class ControlRefusal : std::uint32_t {
    impossible = 1,  // no such kind, or a factor that is none
    scoring = 2,     // the threshold is the one that is learned
};

using Control = weir::ipc::Service<ControlRequest, ControlStatus>;

inline ControlRequest request_of(const Command& command) {
    return {.kind = static_cast<std::uint32_t>(command.kind) + 1, .factor = command.factor};
}
/// Nothing if it is impossible: it comes from another process.
std::optional<Command> command_of(const ControlRequest& request);

std::string_view text_of(ControlRefusal refusal);

}  // namespace leak
