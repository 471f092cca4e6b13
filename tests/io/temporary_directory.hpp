// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace weir::test {

/// A directory of this test's own, removed with all that is in it. Others may enter and write, so that unprivileged
/// children can work in it.
class TemporaryDirectory {
public:
    TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory();

    [[nodiscard]] std::string operator/(const char* name) const;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// The permission bits of what lies at `path`; -1 for nothing.
int mode_of(const std::string& path);
inline bool exists(const std::string& path) {
    return mode_of(path) >= 0;
}

}  // namespace weir::test
