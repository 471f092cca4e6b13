// SPDX-License-Identifier: MIT
#include "sys/lock_file.hpp"

#include "sys/ownership.hpp"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::sys {
namespace {

constexpr std::size_t lock_path_max = 128;

bool lock_path(const char* path, char (&out)[lock_path_max]) noexcept {
    const int size = std::snprintf(out, sizeof(out), "%s.lock", path);
    return size > 0 && static_cast<std::size_t>(size) < sizeof(out);
}

// Who locked the file writes its pid a moment later: until then the one of a holder that was killed may stand there,
// or nothing. 0 if it stays so for ten milliseconds.
std::uint64_t holder_of(int fd) noexcept {
    constexpr int looks_max = 20;
    constexpr timespec pause{.tv_sec = 0, .tv_nsec = 500'000};
    for (int look = 0; look < looks_max; ++look) {
        char text[24] = "";
        const ssize_t size = ::pread(fd, text, sizeof(text) - 1, 0);
        const long pid = size > 0 ? std::strtol(text, nullptr, 10) : 0;
        const bool lives =
            pid > 0 && pid <= INT_MAX && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
        if (lives) return static_cast<std::uint64_t>(pid);
        ::nanosleep(&pause, nullptr);
    }
    return 0;
}

}  // namespace

Result<Fd> take_lock(const char* path, const char* operation) noexcept {
    char file[lock_path_max];
    if (!lock_path(path, file)) return failure(Errc::too_large, operation);
    for (;;) {
        Fd fd(::open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
        if (!fd) return failure(Error::from_errno(operation, errno));
        struct flock whole {};
        whole.l_type = F_WRLCK;
        whole.l_whence = SEEK_SET;
        if (::fcntl(fd.get(), F_OFD_SETLK, &whole) < 0) {
            if (errno != EAGAIN && errno != EACCES) return failure(Error::from_errno(operation, errno));
            return failure(Errc::in_use, operation, holder_of(fd.get()));
        }
        if (!still_at(file, fd.get())) continue;  // its last holder removed it meanwhile
        // Whoever may write to the directory could have linked another file of ours here, to have it emptied.
        struct stat status {};
        if (::fstat(fd.get(), &status) < 0) return failure(Error::from_errno(operation, errno));
        if (!S_ISREG(status.st_mode) || status.st_nlink != 1) return failure(Errc::denied, operation);
        // A rival of the same user must be able to open it, to learn who we are, whatever the umask took.
        if (::fchmod(fd.get(), 0600) < 0) return failure(Error::from_errno(operation, errno));
        char text[24];
        const int size = std::snprintf(text, sizeof(text), "%d\n", static_cast<int>(::getpid()));
        // Only to tell others who it is: without it in_use says 0.
        if (::ftruncate(fd.get(), 0) == 0) {
            [[maybe_unused]] const auto written = ::pwrite(fd.get(), text, static_cast<std::size_t>(size), 0);
        }
        return fd;
    }
}

void remove_lock(const char* path) noexcept {
    char file[lock_path_max];
    if (lock_path(path, file)) ::unlink(file);
}

}  // namespace weir::sys
