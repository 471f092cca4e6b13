// SPDX-License-Identifier: MIT
//
// The descriptor is opened without waiting (O_NONBLOCK), so that a FIFO given by mistake is refused instead
// of stopping the program; on regular files the flag has no effect.
#include "recording_file.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace leak {

namespace {

BoundedText<200> with_cause(std::string_view what, int error_number) {
    BoundedText<200> text{what};
    text.append(": ").append(std::strerror(error_number));
    return text;
}

}  // namespace

RecordingFile::RecordingFile(const char* path) : parser_(path) {
    fd_ = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) {
        parser_.fail(with_cause("cannot be opened", errno).view());
        return;
    }
    struct stat status {};
    if (::fstat(fd_, &status) != 0) {
        parser_.fail(with_cause("cannot be examined", errno).view());
    } else if (S_ISDIR(status.st_mode)) {
        parser_.fail("this is a directory, a recording was expected");
    } else if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) {
        parser_.fail("this is not a regular file, a recording was expected");
    }
}

RecordingFile::RecordingFile(int fd, std::string_view name) : parser_(name), fd_(fd) {}

RecordingFile::~RecordingFile() {
    if (fd_ >= 0) ::close(fd_);
}

RecordingParser::Step RecordingFile::next(Sample& sample) {
    for (;;) {
        if (at_end_) return parser_.finish(sample);
        const auto step = parser_.next(unread_, sample);
        if (step != RecordingParser::Step::more) return step;

        const auto size = ::pread(fd_, bytes_.data(), bytes_.size(), static_cast<off_t>(offset_));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return parser_.fail(with_cause("cannot be read", errno).view());
        if (size == 0) at_end_ = true;
        offset_ += static_cast<std::uint64_t>(size);
        unread_ = std::span<const char>{bytes_}.first(static_cast<std::size_t>(size));
    }
}

}  // namespace leak
