// SPDX-License-Identifier: MIT
#include "console.hpp"

#include <cerrno>
#include <chrono>
#include <poll.h>
#include <unistd.h>

namespace leak {

namespace {

using namespace std::chrono_literals;

constexpr std::string_view clear_line = "\r\x1b[K";

}  // namespace

void Console::open() {
    terminal_ = ::isatty(output_fd) == 1;
}

void Console::status(std::string_view line, weir::Instant now) {
    if (line.empty() || (!terminal_ && now - shown_ < 5s) || line == status_.view()) return;
    shown_ = now;
    status_.clear();
    status_.append(line);
    Line text;
    if (terminal_) {
        text.append(clear_line).append(status_.view());
    } else {
        text.append(status_.view()).append('\n');
    }
    write(output_fd, text.view());
}

void Console::close() {
    if (terminal_ && !status_.empty()) write(output_fd, clear_line);
    status_.clear();
}

void Console::print(int fd, std::string_view line) {
    Line text;
    if (terminal_ && !status_.empty()) text.append(clear_line);
    text.append(line).append('\n');
    if (terminal_ && fd == output_fd) text.append(status_.view());
    write(fd, text.view());
    if (terminal_ && fd == error_fd) write(output_fd, status_.view());
}

void Console::write(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto size = ::write(fd, text.data(), text.size());
        if (size > 0) {
            text.remove_prefix(static_cast<std::size_t>(size));
        } else if (size < 0 && errno == EAGAIN) {
            pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
            if (::poll(&room, 1, 100) == 0) return;
        } else if (size < 0 && errno != EINTR) {
            broken_ = broken_ || fd == output_fd;
            return;
        }
    }
}

}  // namespace leak
