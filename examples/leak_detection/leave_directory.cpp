// SPDX-License-Identifier: MIT
#include "program.hpp"

#include <cerrno>
#include <chrono>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace leak {
namespace {

constexpr auto patience = std::chrono::seconds(2);  // others have 900 ms to end

// Tells when something is removed from a directory. Where the kernel does not let it, it tells nothing.
class Removals {
public:
    explicit Removals(const char* directory) : fd_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
        if (fd_ >= 0) ::inotify_add_watch(fd_, directory, IN_DELETE);
    }
    Removals(const Removals&) = delete;
    Removals& operator=(const Removals&) = delete;
    ~Removals() {
        if (fd_ >= 0) ::close(fd_);
    }

    void await(std::chrono::milliseconds span) const {
        pollfd any{.fd = fd_, .events = POLLIN, .revents = 0};
        if (::poll(&any, 1, static_cast<int>(span.count())) <= 0) return;
        alignas(inotify_event) char events[1'024];
        while (::read(fd_, events, sizeof(events)) > 0) {}
    }

private:
    int fd_;
};

// False if it is there still, since it is not empty.
bool remove_empty(const char* directory) {
    return ::rmdir(directory) == 0 || (errno != ENOTEMPTY && errno != EEXIST);
}

}  // namespace

void sweep_directory(const char* directory) {
    for (const std::string_view name :
         {samples_name, control_name, answers_name, alarms_name, commands_name, state_name}) {
        ::unlink(RuntimePath{directory, name}.c_str());
        ::unlink(RuntimePath{directory, BoundedText<64>{name}.append(".lock").view()}.c_str());
    }
}

// The scheduler has ended. Nobody can have taken the directory over: its lock is taken as long as we live.
void leave_directory(const char* directory) {
    struct stat status {};
    const bool shared = ::stat(directory, &status) == 0 && (status.st_mode & S_ISVTX) != 0;
    if (!shared) {
        remove_empty(directory);
        return;
    }
    if (status.st_uid != ::geteuid()) return;  // its owner does
    const Removals removals{directory};
    const weir::Instant until = weir::MonotonicClock::now() + patience;
    while (!remove_empty(directory)) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - weir::MonotonicClock::now());
        if (left.count() > 0) {
            removals.await(left);
            continue;
        }
        // Who was killed, or could not end in time, has left its files.
        sweep_directory(directory);
        remove_empty(directory);
        return;
    }
}

}  // namespace leak
