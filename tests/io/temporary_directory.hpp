// SPDX-License-Identifier: MIT
#pragma once

#include "support/catch.hpp"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <sys/stat.h>

namespace weir::test {

/// A directory of this test's own, removed with all that is in it. Others may enter and write, so that unprivileged
/// children can work in it.
class TemporaryDirectory {
public:
    TemporaryDirectory() {
        char path[] = "/tmp/weir-XXXXXX";
        REQUIRE(::mkdtemp(path) != nullptr);
        path_ = path;
        REQUIRE(::chmod(path, 0777) == 0);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] std::string operator/(const char* name) const { return path_ + "/" + name; }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// The permission bits of what lies at `path`; -1 for nothing.
inline int mode_of(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 ? static_cast<int>(status.st_mode & 07777) : -1;
}
inline bool exists(const std::string& path) {
    return mode_of(path) >= 0;
}

}  // namespace weir::test
