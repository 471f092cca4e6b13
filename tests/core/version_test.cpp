// SPDX-License-Identifier: MIT
#include <weir/version.hpp>

#include "support/catch.hpp"
#include "this_build.hpp"

#include <string>

namespace {

std::string text(weir::Version version) {
    return std::to_string(version.major_number) + "." + std::to_string(version.minor_number) + "." +
           std::to_string(version.patch_number);
}

}  // namespace

TEST_CASE("the headers have the version of the project") {
    CHECK(text(weir::header_version) == weir::test::this_build::project_version);
}

TEST_CASE("the library has the version of the headers") {
    CHECK(weir::library_version() == weir::header_version);
}
