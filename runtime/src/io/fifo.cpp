// SPDX-License-Identifier: MIT
#include "weir/io/fifo.hpp"

#include "sys/ownership.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir {
namespace {

using namespace std::chrono_literals;

constexpr Pending::Kind reading{"fifo read", &OperationWait::visit_fd};
constexpr Pending::Kind writing{"fifo write", &OperationWait::visit_fd};
constexpr StreamVerbs verbs{Operation::Verb::fifo_read, Operation::Verb::write, &reading, &writing};
// With a writing end of our own the stream cannot end, and no look at the writers is needed.
constexpr StreamVerbs kept_open_verbs{Operation::Verb::read, Operation::Verb::write, &reading, &writing};

constexpr Duration open_pause_first = 1ms;
constexpr Duration open_pause_max = 50ms;

// Removes the FIFO that was just made unless everything else succeeds.
class MadePath {
public:
    explicit MadePath(const char* path) noexcept : path_(path) {}
    MadePath(const MadePath&) = delete;
    MadePath& operator=(const MadePath&) = delete;
    ~MadePath() {
        if (path_ != nullptr) ::unlink(path_);
    }
    void keep() noexcept { path_ = nullptr; }

private:
    const char* path_;
};

// The umask may have taken from a FIFO that we just made what its own owner needs to open it.
Fd open_end(const char* path, int access, bool made) noexcept {
    const int flags = access | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW;
    Fd fd(::open(path, flags));
    if (!fd && errno == EACCES && made && ::chmod(path, S_IRUSR | S_IWUSR) == 0) fd = Fd(::open(path, flags));
    return fd;
}

bool is_something_else(const char* path) noexcept {
    struct stat status {};
    return ::stat(path, &status) == 0 && !S_ISFIFO(status.st_mode);
}

}  // namespace

FifoReader& FifoReader::operator=(FifoReader&& other) noexcept {
    if (this == &other) return *this;
    close();
    Handle::operator=(static_cast<Handle&&>(other));  // moves the base alone
    kept_open_ = std::move(other.kept_open_);
    path_ = other.path_;
    removes_ = std::exchange(other.removes_, false);
    return *this;
}

Result<FifoReader> FifoReader::create(std::string_view path, const FifoOptions& options) noexcept {
    constexpr const char* operation = "fifo create";
    FifoReader reader;
    reader.path_ = BoundedPath(path);
    const auto fit = reader.path_.resolve(operation);
    if (!fit) return failure(fit.error());
    const char* const name = reader.path_.c_str();
    const bool made = ::mkfifo(name, options.mode) == 0;
    if (!made && errno != EEXIST) return failure(Error::from_errno(operation, errno));
    MadePath made_path(made ? name : nullptr);
    Fd fd = open_end(name, O_RDONLY, made);
    // A symbolic link and a socket lie there and are no FIFO either.
    if (!fd && (errno == ELOOP || errno == ENXIO)) errno = EEXIST;
    if (!fd) return failure(Error::from_errno(operation, errno));
    struct stat status {};
    if (::fstat(fd.get(), &status) < 0) return failure(Error::from_errno(operation, errno));
    if (!S_ISFIFO(status.st_mode))
        return failure(Errc::in_use, "fifo create, where something that is no FIFO lies");
    if (!made && status.st_uid != ::geteuid() && status.st_uid != 0) {
        return failure(Errc::in_use, "fifo create, where another user's FIFO lies");
    }
    // Through the descriptor, so that it is the FIFO we hold whatever happens to the path.
    const long set = sys::set_ownership(fd.get(), options.owner, options.group, options.mode);
    if (set < 0) return failure(Error::from_errno(operation, static_cast<int>(-set)));
    if (options.keep_open) {
        reader.kept_open_ = open_end(name, O_WRONLY, false);
        if (!reader.kept_open_) return failure(Error::from_errno(operation, errno));
        struct stat other {};
        if (::fstat(reader.kept_open_.get(), &other) < 0 || other.st_ino != status.st_ino ||
            other.st_dev != status.st_dev) {
            return failure(Errc::in_use, "fifo create, whose path was exchanged meanwhile");
        }
    }
    static_cast<Handle&>(reader) = Handle(std::move(fd));
    reader.removes_ = options.remove;
    made_path.keep();
    return reader;
}

Result<FifoReader> FifoReader::adopt(int fd) noexcept {
    return adopt_as<FifoReader>(fd, handle_kind::pipe_reader, "adopt fifo reader");
}

Read FifoReader::read(Bytes buffer) noexcept {
    return {*this, kept_open_ ? kept_open_verbs : verbs, buffer};
}
ReadExactly FifoReader::read_exactly(Bytes buffer) noexcept {
    return {*this, kept_open_ ? kept_open_verbs : verbs, buffer};
}

int FifoReader::release() noexcept {
    removes_ = false;
    kept_open_.close();
    return Handle::release();
}

void FifoReader::close() noexcept {
    if (removes_ && sys::still_at(path_.c_str(), Handle::fd())) ::unlink(path_.c_str());
    removes_ = false;
    Handle::close();
    kept_open_.close();
}

OpenFifo FifoWriter::open(std::string_view path) noexcept {
    return OpenFifo(path);
}

Result<FifoWriter> FifoWriter::adopt(int fd) noexcept {
    return adopt_as<FifoWriter>(fd, handle_kind::pipe_writer, "adopt fifo writer");
}

Write FifoWriter::write(ConstBytes bytes) noexcept {
    return {*this, verbs, bytes};
}
WriteAll FifoWriter::write_all(ConstBytes bytes) noexcept {
    return {*this, verbs, bytes};
}

// Opening has no descriptor to wait on: the verb is never submitted.
OpenFifo::Wait::Wait(OpenFifo&& open) noexcept
    : PausingWait(kind, Operation::Verb::writable, retry), path_(open.path_), pause_(open_pause_first) {}

bool OpenFifo::Wait::open_once() noexcept {
    fd_ = Fd(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (!fd_) {
        result = -errno;
        // ENXIO is a FIFO that nobody reads, but also a socket.
        if ((result == -ENXIO || result == -EISDIR) && is_something_else(path_.c_str())) {
            set_error({.code = Errc::wrong_kind, .operation = name()});
            return true;
        }
        return result != -ENXIO && result != -ENOENT && result != -EINTR;
    }
    struct stat status {};
    if (::fstat(fd_.get(), &status) < 0 || !S_ISFIFO(status.st_mode)) {
        set_error({.code = Errc::wrong_kind, .operation = name()});
    }
    result = 0;
    return true;
}

void OpenFifo::Wait::pause_longer() noexcept {
    pause(pause_);
    pause_ = std::min(pause_ * 2, open_pause_max);
}

bool OpenFifo::Wait::start(const Start& start) noexcept {
    const auto fit = path_.resolve(name());
    if (!fit) {
        set_error(fit.error());
        return true;
    }
    if (open_once()) return true;
    begin(start);
    pause_longer();
    return false;
}

bool OpenFifo::Wait::retry(PausingWait& self) noexcept {
    auto& wait = static_cast<Wait&>(self);
    if (wait.open_once()) return true;
    wait.pause_longer();
    return false;
}

Result<FifoWriter> OpenFifo::Wait::take() noexcept {
    const auto got = outcome();
    if (!got) return failure(got.error());
    return FifoWriter(std::move(fd_));
}

}  // namespace weir
