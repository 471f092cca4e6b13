// SPDX-License-Identifier: MIT
//
// Testing a service on the simulated backend.
//
//     Scheduler& scheduler = …;
//     WEIR_TRY(…, scheduler.start({.backend = BackendChoice::simulated, .simulation = {.seed = 7}}));
//
// Descriptors are real; time, order and faults follow from the seed. Only a Remote is waited for in real time: a child,
// a signal or another process that is not ready when all else is idle counts as never. See SimulationOptions in
// backend/choice.hpp for what luck may do, and sys/faults.hpp for choosing faults yourself.
#pragma once

#include "weir/backend/choice.hpp"
#include "weir/sys/faults.hpp"
#include "weir/weir.hpp"
