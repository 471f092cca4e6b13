// SPDX-License-Identifier: MIT
#pragma once

#include <weir/sys/fd.hpp>

#include <fcntl.h>
#include <sys/resource.h>

namespace weir::test {

/// No new descriptor can be had until the limit is raised again.
class FilesUsedUp {
public:
    FilesUsedUp() {
        const Fd next(::fcntl(0, F_DUPFD_CLOEXEC, 0));
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit none = before_;
        none.rlim_cur = static_cast<rlim_t>(next.get());
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    FilesUsedUp(const FilesUsedUp&) = delete;
    FilesUsedUp& operator=(const FilesUsedUp&) = delete;
    ~FilesUsedUp() { end(); }
    void end() noexcept { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

}  // namespace weir::test
