// SPDX-License-Identifier: MIT
//
// Stands in for sockets_uring_loop.cpp where the build found no liburing.

#include "sockets.hpp"

namespace bench {

void serve_by_uring(std::span<const int>) {
    skip("built without liburing");
}

void serve_by_uring_sends(std::span<const int>) {
    skip("built without liburing");
}

void serve_by_uring_polls(std::span<const int>) {
    skip("built without liburing");
}

void serve_by_uring_whole(std::span<const int>) {
    skip("built without liburing");
}

}  // namespace bench
