// SPDX-License-Identifier: MIT
//
// What flat_producer and flat_consumer agree on beside the schema.
#pragma once

#include <weir/ipc.hpp>
#include <weir/ipc/types/flat.hpp>

#include "scan_generated.h"

#include <cstddef>

inline constexpr weir::ipc::RingName scans{"example/scans"};
/// The largest scan that is sent. A FlatBuffer takes what it holds; this is what is reserved for it until that is known.
inline constexpr std::size_t scan_bytes_max = 1024;
