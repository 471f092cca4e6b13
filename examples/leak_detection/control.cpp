// SPDX-License-Identifier: MIT
#include "control.hpp"

#include "detector_model.hpp"

namespace leak {

std::optional<Command> command_of(const ControlRequest& request) {
    if (request.kind == 0 || request.kind > static_cast<std::uint32_t>(Command::Kind::status) + 1) return {};
    const Command command{.kind = static_cast<Command::Kind>(request.kind - 1), .factor = request.factor};
    if (command.kind == Command::Kind::threshold) {
        if (!(request.factor > 0 && request.factor <= factor_max)) return {};
    } else if (request.factor != 0) {
        return {};
    }
    return command;
}

std::string_view text_of(ControlRefusal refusal) {
    switch (refusal) {
        case ControlRefusal::impossible: return "this is no request";
        case ControlRefusal::scoring: return "scoring is done with the threshold as it is learned";
    }
    return "refused for a reason that is not known here";
}

}  // namespace leak
