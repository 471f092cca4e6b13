// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace weir::test {

/// The record of the tests of rings.
struct Reading {
    std::uint64_t number;
    std::int32_t value;
    std::uint32_t sensor;
};

}  // namespace weir::test
