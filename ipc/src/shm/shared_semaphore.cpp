// SPDX-License-Identifier: MIT
//
// Everyone who has a named semaphore open holds a shared lock on its FIFO, which the kernel drops when the process dies.
// Who gets the exclusive one is alone: it sets owner and mode, empties the FIFO, puts the initial tokens in, and changes
// to the shared lock. Killed in between, it leaves a FIFO that nobody has locked, and the next one begins anew.
#include "weir/ipc/shm/shared_semaphore.hpp"

#include "sys/ownership.hpp"
#include "weir/ipc/names/name_list.hpp"

#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

constexpr const char* opening = "shared semaphore open";
constexpr int looks_max = 200;  // each half a millisecond
constexpr std::array<std::byte, SharedSemaphore::post_max> tokens{};

bool lock(int fd, short type) noexcept {
    struct flock whole {};
    whole.l_type = type;
    whole.l_whence = SEEK_SET;
    return ::fcntl(fd, F_OFD_SETLK, &whole) == 0;
}

// True if it is ours to give away and to open to others; an error if it is no FIFO of somebody trusted.
Result<bool> check(int fd, const SharedSemaphoreOptions& options) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) < 0) return failure(Error::from_errno(opening, errno));
    if (!S_ISFIFO(status.st_mode))
        return failure(Errc::in_use, "shared semaphore open, where something else lies");
    const bool ours = status.st_uid == ::geteuid();
    const bool trusted =
        ours || status.st_uid == 0 || static_cast<std::int64_t>(status.st_uid) == options.owner;
    if (!trusted) return failure(Errc::in_use, "shared semaphore open, where another user's lies");
    return ours || ::geteuid() == 0;
}

// Done by whoever has it alone, and not by who made it, who may have been killed before it had.
Result<void> set_up(int fd, bool ours, const SharedSemaphoreOptions& options) noexcept {
    const long set = ours ? sys::set_ownership(fd, options.owner, options.group, options.mode) : 0;
    if (set < 0) return failure(Error::from_errno(opening, static_cast<int>(-set)));
    std::array<std::byte, 512> left;
    while (::read(fd, left.data(), left.size()) > 0) {}
    const std::uint32_t initial = options.initial;
    if (initial > 0 && ::write(fd, tokens.data(), initial) != static_cast<ssize_t>(initial))
        return failure(Error::from_errno(opening, errno));
    if (!lock(fd, F_RDLCK)) return failure(Error::from_errno(opening, errno));
    return {};
}

}  // namespace

Result<SharedSemaphore> SharedSemaphore::create(std::uint32_t initial) noexcept {
    Fd fd(::eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
    if (!fd) return failure(Error::from_errno("shared semaphore create", errno));
    return SharedSemaphore(std::move(fd), false);
}

Result<SharedSemaphore> SharedSemaphore::adopt(int fd) noexcept {
    return adopt_as<SharedSemaphore>(fd, handle_kind::eventfd, "adopt shared semaphore");
}

Result<SharedSemaphore> SharedSemaphore::open(const RuntimeDirectory& directory, const Name& name,
                                              const SharedSemaphoreOptions& options) noexcept {
    if (options.initial > post_max)
        return failure(Errc::too_large, "shared semaphore open, initial count", options.initial, post_max);
    WEIR_TRY(const RuntimePath path, directory.path_of(name, semaphore_suffix));
    constexpr timespec pause{.tv_sec = 0, .tv_nsec = 500'000};
    for (int look = 0; look < looks_max; ++look) {
        if (::mkfifo(path.c_str(), S_IRUSR | S_IWUSR) < 0 && errno != EEXIST)
            return failure(Error::from_errno(opening, errno));
        Fd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
        if (!fd && errno == ENOENT) continue;  // unlinked meanwhile
        if (!fd && (errno == ELOOP || errno == ENXIO || errno == EISDIR))
            return failure(Errc::in_use, "shared semaphore open, where something else lies");
        if (!fd) return failure(Error::from_errno(opening, errno));
        WEIR_TRY(const bool ours, check(fd.get(), options));
        const bool alone = lock(fd.get(), F_WRLCK);
        if (alone || lock(fd.get(), F_RDLCK)) {
            if (!sys::still_at(path.c_str(), fd.get())) continue;
            if (alone) {
                const auto begun = set_up(fd.get(), ours, options);
                if (!begun) return failure(begun.error());
            }
            return SharedSemaphore(std::move(fd), true);
        }
        ::nanosleep(&pause, nullptr);  // somebody is setting the count
    }
    return failure(Errc::in_use, "shared semaphore open, while another process sets its count");
}

Result<void> SharedSemaphore::unlink(const RuntimeDirectory& directory, const Name& name) noexcept {
    WEIR_TRY(const RuntimePath path, directory.path_of(name, semaphore_suffix));
    if (::unlink(path.c_str()) < 0) return failure(Error::from_errno("shared semaphore unlink", errno));
    return {};
}

SharedSemaphoreAcquire SharedSemaphore::acquire() noexcept {
    return SharedSemaphoreAcquire(*this);
}

Result<void> SharedSemaphore::try_acquire() noexcept {
    std::uint64_t token = 0;
    if (::read(fd(), &token, token_size()) < 0)
        return failure(Error::from_errno("shared semaphore try_acquire", errno));
    return {};
}

Result<void> SharedSemaphore::post(std::uint32_t count) noexcept {
    constexpr const char* operation = "shared semaphore post";
    if (count == 0) return {};
    if (named_ && count > post_max) return failure(Errc::too_large, operation, count, post_max);
    const std::uint64_t added = count;
    const ssize_t written =
        named_ ? ::write(fd(), tokens.data(), count) : ::write(fd(), &added, sizeof(added));
    if (written >= 0) return {};
    if (errno != EAGAIN) return failure(Error::from_errno(operation, errno));
    const auto limit = named_ ? static_cast<std::uint64_t>(::fcntl(fd(), F_GETPIPE_SZ)) : ~std::uint64_t{1};
    return failure(Errc::overflow, operation, count, limit);
}

Result<std::uint64_t> SharedSemaphore::value() const noexcept {
    constexpr const char* operation = "shared semaphore value";
    if (!*this) return failure(Errc::closed, operation);
    if (named_) {
        int bytes = 0;
        if (::ioctl(fd(), FIONREAD, &bytes) < 0) return failure(Error::from_errno(operation, errno));
        return static_cast<std::uint64_t>(bytes);
    }
    char text[512];
    std::snprintf(text, sizeof(text), "/proc/self/fdinfo/%d", fd());
    const Fd info(::open(text, O_RDONLY | O_CLOEXEC));
    if (!info) return failure(Error::from_errno(operation, errno));
    const ssize_t size = ::read(info.get(), text, sizeof(text) - 1);
    if (size < 0) return failure(Error::from_errno(operation, errno));
    text[size] = '\0';
    constexpr const char* label = "eventfd-count:";
    const char* const line = std::strstr(text, label);
    std::uint64_t count = 0;
    if (line == nullptr || std::sscanf(line + std::strlen(label), "%" SCNx64, &count) != 1)
        return failure(Errc::unsupported, operation);
    return count;
}

}  // namespace weir::ipc
