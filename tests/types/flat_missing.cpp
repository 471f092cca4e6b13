// SPDX-License-Identifier: MIT
#include "support/catch.hpp"
#include "support/skip.hpp"

TEST_CASE("FlatBuffers are built without heap and verified before they are read") {
    weir::test::skip("built without FlatBuffers");
}
