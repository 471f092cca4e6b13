// SPDX-License-Identifier: MIT
//
// Stands in for round_trip_uring_loop.cpp where the build found no liburing.

#include "round_trip.hpp"

namespace bench {

Approach uring_loop(Transport) {
    skip("built without liburing");
}

}  // namespace bench
