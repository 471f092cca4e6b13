// SPDX-License-Identifier: MIT
#include "sys/ownership.hpp"

#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::sys {
namespace {

// -1 is "as it is" to chown(2), too, in its own width.
uid_t id_of(std::int64_t id) noexcept {
    return id < 0 ? static_cast<uid_t>(-1) : static_cast<uid_t>(id);
}

}  // namespace

long set_ownership(int fd, std::int64_t owner, std::int64_t group, mode_t mode) noexcept {
    const bool gives = owner >= 0 || group >= 0;
    // The mode last: changing the owner takes bits of it away.
    if ((gives && ::fchown(fd, id_of(owner), id_of(group)) < 0) || ::fchmod(fd, mode) < 0) return -errno;
    return 0;
}
long set_ownership(const char* path, std::int64_t owner, std::int64_t group, mode_t mode) noexcept {
    const bool gives = owner >= 0 || group >= 0;
    if ((gives && ::lchown(path, id_of(owner), id_of(group)) < 0) || ::chmod(path, mode) < 0) return -errno;
    return 0;
}

bool still_at(const char* path, int fd) noexcept {
    struct stat ours {};
    struct stat there {};
    return ::fstat(fd, &ours) == 0 && ::lstat(path, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

}  // namespace weir::sys
