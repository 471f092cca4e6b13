// SPDX-License-Identifier: MIT
//
// What the tasks of acquisition share.
//
//     sensors (8 tasks) ──► joiner ──► join (a task) ──► outbox ──► link (two tasks) ──► detector
//                              operator, supervisor (a task each) ──► operation
//
// A task that changes something sets the event that others wait for; one that waits looks again whenever it wakes.
#pragma once

#include "options.hpp"
#include "outbox.hpp"
#include "program.hpp"
#include "record_writer.hpp"
#include "stream_joiner.hpp"
#include "wire.hpp"

#include <weir/weir.hpp>

#include <optional>

namespace leak {

struct AcquisitionState {
    Options options;
    Reporter reporter;

    std::optional<StreamJoiner> joiner;  // there once the detector has said where to begin
    Outbox outbox;
    bool all_joined = false;  // nothing more goes into the outbox
    bool finished = false;    // and the detector has got it all
    bool refused = false;     // a sensor could not read the recording
    StreamFailure failure;    // why, the first of them

    Operation operation;
    bool factor_sent = true;  // the detector on this connection knows operation.factor
    std::uint64_t sensor_restarts = 0;
    std::uint32_t unqueued_count = 0;  // announcements that found no room in the queue

    Progress progress;

    weir::Event ordered;   // the supervisor has said how to work
    weir::Event begun;     // `joiner` is there
    weir::Event joinable;  // readings came, or a stream ended
    weir::Event room;      // readings were used
    weir::Event sendable;  // samples came, or the threshold changed, or all are joined
    weir::Event sendroom;  // samples were acknowledged, or it is no longer paused
    weir::Event over;      // `finished`
};

/// Waits until `event` is set after now.
inline weir::Event::Description next(weir::Event& event) {
    event.reset();
    return event.wait();
}

/// Keeps the sensor of one signal running, and its readings flowing into the joiner, until its stream has ended.
weir::Task<> run_sensor(weir::Scheduler& scheduler, AcquisitionState& state, Signal signal);

/// Keeps a connection to the detector, and samples flowing over it, until `finished`.
weir::Task<> run_link(weir::Scheduler& scheduler, AcquisitionState& state);

}  // namespace leak
