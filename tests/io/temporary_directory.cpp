// SPDX-License-Identifier: MIT
#include "io/temporary_directory.hpp"

#include "support/catch.hpp"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <sys/stat.h>

namespace weir::test {

TemporaryDirectory::TemporaryDirectory() {
    char path[] = "/tmp/weir-XXXXXX";
    REQUIRE(::mkdtemp(path) != nullptr);
    path_ = path;
    REQUIRE(::chmod(path, 0777) == 0);
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::operator/(const char* name) const {
    return path_ + "/" + name;
}

int mode_of(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0 ? static_cast<int>(status.st_mode & 07777) : -1;
}

}  // namespace weir::test
