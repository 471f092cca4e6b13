// SPDX-License-Identifier: MIT
#include "runtime_directory.hpp"

#include "program.hpp"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace leak {

namespace {

RuntimeError failed(std::string_view what, const char* path) {
    const int cause = errno;
    RuntimeError error{what};
    return error.append(' ').append(path).append(": ").append(std::strerror(cause));
}

/// Asks with the other processes' effective user.
bool is_accessible(int directory, const char* path, const RunAs& run_as) {
    if (!run_as.changes) return true;
    if (::setegid(run_as.group) < 0) return false;
    const bool became = ::seteuid(run_as.user) == 0;
    const bool accessible = became && ::faccessat(directory, path, X_OK, AT_EACCESS) == 0;
    const bool back = (!became || ::seteuid(0) == 0) && ::setegid(0) == 0;
    return accessible && back;
}

RuntimeError choose_user(const char* name, RunAs& run_as) {
    RuntimeError error;
    run_as = {.changes = false, .user = ::geteuid(), .group = ::getegid()};
    if (name == nullptr && run_as.user != 0) return error;
    const char* const wanted = name != nullptr ? name : "nobody";
    const struct passwd* entry = ::getpwnam(wanted);
    if (entry == nullptr) {
        uid_t number = 0;
        const char* const end = wanted + std::strlen(wanted);
        const auto [rest, wrong] = std::from_chars(wanted, end, number);
        if (wrong != std::errc{} || rest != end) {
            if (name != nullptr) return error.append("--user: there is no user ").append_quoted(wanted);
            number = 65'534;  // a machine without a user database
        }
        run_as.user = number;
        run_as.group = number;
        entry = ::getpwuid(number);
    }
    if (entry != nullptr) {
        run_as.user = entry->pw_uid;
        run_as.group = entry->pw_gid;
    }
    if (::geteuid() != 0 && run_as.user != ::geteuid()) {
        return error.append("--user: only root can become ").append_quoted(wanted);
    }
    run_as.changes = ::geteuid() == 0 && run_as.user != 0;
    return error;
}

}  // namespace

RuntimeError choose_users(const char* name, std::optional<std::uint32_t> base, Users& users) {
    RuntimeError error;
    if (base && name != nullptr) return error.append("--user-base cannot be combined with --user");
    if (base && ::geteuid() != 0) return error.append("--user-base: only root can become other users");
    users = Users{};
    if (::geteuid() != 0 || name != nullptr) {
        error = choose_user(name, users.acquisition);
        users.detector = users.alarm_server = users.logger = users.acquisition;
        return error;
    }
    const uid_t first = base.value_or(user_base_default);
    users.apart = true;
    users.acquisition = {.changes = true, .user = first, .group = first};
    users.detector = {.changes = true, .user = first + 1, .group = first};
    users.alarm_server = {.changes = true, .user = first + 2, .group = first + 2};
    users.logger = {.changes = true, .user = first + 3, .group = first + 3};
    return error;
}

RuntimeError check_program(const char* directory, const char* program, const RunAs& run_as) {
    const int fd = ::open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed("opening", directory);
    const bool accessible = is_accessible(fd, program, run_as);
    ::close(fd);
    if (accessible) return {};
    RuntimeError error{"user "};
    error.append(run_as.user).append(" cannot execute the programs in ").append(directory);
    return error.append(": make them accessible, or name another --user");
}

RuntimeError RuntimeDirectory::choose_path(const Users& users) {
    const char* const base = ::getauxval(AT_SECURE) == 0 ? std::getenv("WEIR_RUNTIME_DIR") : nullptr;
    if (base == nullptr || *base == '\0') {
        std::strcpy(path_, "/tmp/weir-leak-XXXXXX");
        return ::mkdtemp(path_) != nullptr ? RuntimeError{} : failed("making", path_);
    }
    if (*base != '/')
        return RuntimeError{"WEIR_RUNTIME_DIR: "}.append_quoted(base, 128).append(" is no absolute path");
    if (!RuntimePath{base, "leak_detection/detector.state"}.whole()) {
        return RuntimeError{"WEIR_RUNTIME_DIR: "}.append_quoted(base, 128).append(
            " is too long for a socket's address");
    }
    std::snprintf(path_, sizeof(path_), "%s/leak_detection", base);
    if (::mkdir(base, 0755) == 0) {
        std::snprintf(base_, sizeof(base_), "%s", base);
    } else if (errno != EEXIST) {
        return failed("making", base);
    }
    for (const RunAs& run_as : {users.acquisition, users.detector, users.alarm_server, users.logger}) {
        if (is_accessible(AT_FDCWD, base, run_as)) continue;
        return RuntimeError{"user "}
            .append(run_as.user)
            .append(" cannot enter ")
            .append(base)
            .append(" (WEIR_RUNTIME_DIR): make it searchable, or name another --user");
    }
    return {};
}

RuntimeError RuntimeDirectory::open(const Users& users) {
    auto error = choose_path(users);
    if (error.empty()) error = take_lock(users);
    if (!error.empty()) path_[0] = '\0';
    return error;
}

RuntimeError RuntimeDirectory::take_lock(const Users& users) {
    const uid_t owner = users.alarm_server.user;
    const gid_t group = users.acquisition.group;
    const mode_t mode = users.apart ? 01771 : 0700;
    // A system that is just ending lets go within three seconds (leave_directory()); there is no scheduler yet to wait in.
    constexpr int tries_max = 200;
    for (int attempt = 0; attempt < tries_max; ++attempt) {
        if (attempt > 0) ::usleep(20'000);
        if (::mkdir(path_, 0700) < 0 && errno != EEXIST) return failed("making", path_);
        const int fd = ::open(path_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) continue;  // its last user has just removed it
        if (fd < 0) return failed("opening", path_);
        struct stat held {};
        struct stat there {};
        if (::flock(fd, LOCK_EX | LOCK_NB) < 0 || ::fstat(fd, &held) < 0 || ::lstat(path_, &there) < 0 ||
            held.st_ino != there.st_ino || held.st_dev != there.st_dev) {
            ::close(fd);
            continue;
        }
        lock_ = fd;
        const bool ours = held.st_uid == ::geteuid() || held.st_uid == owner;
        if (!ours) return RuntimeError{path_}.append(" belongs to somebody else");
        const bool owned = ::geteuid() != 0 || ::fchown(fd, owner, group) == 0;
        if (!owned || ::fchmod(fd, mode) < 0) return failed("preparing", path_);
        sweep_directory(path_);
        return {};
    }
    return RuntimeError{path_}.append(" is in use by another supervisor");
}

void RuntimeDirectory::remove() {
    if (path_[0] == '\0') return;
    sweep_directory(path_);
    ::rmdir(path_);  // what is not empty stays
    if (base_[0] != '\0') ::rmdir(base_);
    path_[0] = '\0';
    ::close(lock_);
    lock_ = -1;
}

}  // namespace leak
