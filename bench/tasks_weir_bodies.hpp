// SPDX-License-Identifier: MIT

#pragma once

#include "measurement.hpp"

#include "weir/scheduler/scheduler.hpp"

#include <cstddef>

namespace bench {

/// Yields until `batches` is full; each lap is `rounds` of its own yields. Then sets `finished`.
weir::Task<> yield_and_measure(weir::Scheduler& scheduler, Batches& batches, std::size_t rounds,
                               bool& finished);

/// Yields until `finished`.
weir::Task<> yield_until(weir::Scheduler& scheduler, const bool& finished);

weir::Task<> child(weir::Scheduler& scheduler);

}  // namespace bench
