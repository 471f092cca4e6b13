// SPDX-License-Identifier: MIT
//
// Testing a service on the simulated backend.
//
//     Scheduler& scheduler = …;
//     WEIR_TRY(…, scheduler.start({.backend = BackendChoice::simulated, .simulation = {.seed = 7}}));
//
// Descriptors are real; time, order and faults follow from the seed. What cannot be simulated (children, ownership,
// signals) works as ever, in real time. See SimulationOptions in backend/choice.hpp for what luck may do, and
// sys/faults.hpp for choosing faults yourself.
#pragma once

#include "weir/backend/choice.hpp"
#include "weir/sys/faults.hpp"
#include "weir/weir.hpp"
