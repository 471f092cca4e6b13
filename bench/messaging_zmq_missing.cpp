// SPDX-License-Identifier: MIT
//
// Stands in for messaging_zmq.cpp where the build found no libzmq.

#include "measurement.hpp"

int main() {
    bench::skip("built without libzmq");
}
