// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <sys/resource.h>

namespace weir::test {

/// No new descriptor but `spare` can be had until the limit is raised again.
class FilesUsedUp {
public:
    explicit FilesUsedUp(int spare = 0) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        int first_beyond = 0;
        for (;; ++first_beyond) {
            const bool free = ::fcntl(first_beyond, F_GETFD) < 0;
            if (free && spare-- == 0) break;
        }
        rlimit few = before_;
        few.rlim_cur = static_cast<rlim_t>(first_beyond);
        ::setrlimit(RLIMIT_NOFILE, &few);
    }
    FilesUsedUp(const FilesUsedUp&) = delete;
    FilesUsedUp& operator=(const FilesUsedUp&) = delete;
    ~FilesUsedUp() { end(); }
    void end() noexcept { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

/// Another process may have descriptors below this number, from now on.
inline void limit_files(pid_t process, std::size_t count) {
    rlimit limit{};
    ::prlimit(process, RLIMIT_NOFILE, nullptr, &limit);
    limit.rlim_cur = count;
    ::prlimit(process, RLIMIT_NOFILE, &limit, nullptr);
}
/// With this as its limit it gets no more.
inline std::size_t first_free_file_of(pid_t process) {
    const std::string folder = "/proc/" + std::to_string(process) + "/fd/";
    std::size_t first = 0;
    while (std::filesystem::is_symlink(folder + std::to_string(first))) ++first;
    return first;
}

}  // namespace weir::test
