// SPDX-License-Identifier: MIT
//
// What the tasks of acquisition share.
//
//     sensors (8 tasks) ──► joiner ──► a task ──► the topic ──► detector ──► a socket ──► a task
//                              operator, supervisor (a task each) ──► operation
//
// A task that changes something sets the event that others wait for; one that waits looks again whenever it wakes.
#pragma once

#include "options.hpp"
#include "program.hpp"
#include "record_writer.hpp"
#include "stream_joiner.hpp"
#include "wire.hpp"

#include <weir/ipc.hpp>
#include <weir/weir.hpp>

#include <optional>

namespace leak {

struct AcquisitionState {
    Options options;
    Reporter reporter;

    std::optional<StreamJoiner> joiner;  // there once the detector has said where to begin
    bool finished = false;               // the detector has got it all
    bool starts_over = false;            // it wants what is no longer here
    bool refused = false;                // a sensor could not read the recording
    StreamFailure failure;               // why, the first of them

    Operation operation;
    bool factor_sent = true;  // operation.factor is on its way
    std::uint64_t sensor_restarts = 0;
    std::uint32_t unqueued_count = 0;  // announcements that found no room in the queue

    Progress progress;

    weir::ipc::SharedSemaphore sensors_ready;
    weir::EventFd sensors_begin;

    weir::Event ordered;   // the supervisor has said how to work
    weir::Event begun;     // `joiner` is there
    weir::Event room;      // readings were used
    weir::Event sendable;  // readings came, or a stream ended, or operators changed something
};

/// Waits until `event` is set after now.
inline weir::Event::Description next(weir::Event& event) {
    event.reset();
    return event.wait();
}

/// Keeps the sensor of one signal running, and its readings flowing into the joiner, until its stream has ended.
weir::Task<> run_sensor(weir::Scheduler& scheduler, AcquisitionState& state, Signal signal);

/// Joins samples and gives them to the detector, until `finished`.
weir::Task<> run_link(weir::Scheduler& scheduler, AcquisitionState& state);

}  // namespace leak
