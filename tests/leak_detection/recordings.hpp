// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// Where the real recordings are, if they are. They are read in place.

#include "support/skip.hpp"
#include "this_build.hpp"

#include <cstdlib>
#include <filesystem>
#include <string>

namespace leak::test {

/// The path of a recording such as `other/1.csv`; the test case is skipped if it is not there.
inline std::string recording_or_skip(const std::string& name) {
    const char* const chosen = std::getenv("WEIR_RECORDINGS");
    const std::string beside = weir::test::this_build::source_folder + std::string("/../shared/data/skab");
    const std::string folder = chosen != nullptr ? chosen : beside;
    const std::string path = folder + "/" + name;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
        weir::test::skip("no recording " + path + " (WEIR_RECORDINGS names their folder)");
    }
    return path;
}

}  // namespace leak::test
