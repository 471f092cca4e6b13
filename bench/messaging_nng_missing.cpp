// SPDX-License-Identifier: MIT
//
// Stands in for messaging_nng.cpp where the build found no nng.

#include "measurement.hpp"

int main() {
    bench::skip("built without nng");
}
