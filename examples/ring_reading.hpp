// SPDX-License-Identifier: MIT
//
// What ring_producer and ring_consumer agree on: a name, and one type of record.
#pragma once

#include <weir/ipc.hpp>

#include <cstdint>

/// Trivially copyable, of fixed-width fields: the same bytes in both programs, also if one of them is 32-bit.
struct Reading {
    std::uint64_t taken_ns;
    std::int32_t millicelsius;
    std::uint32_t sensor;
};
inline constexpr weir::ipc::RingName readings{"example/readings"};
