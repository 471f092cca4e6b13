// SPDX-License-Identifier: MIT
//
// What the supervisor shows: lines, and on a terminal a line at the bottom that is always up to date.
//
// Results and events go to standard output, troubles to standard error, each as a line. Where standard output is no
// terminal the status is a plain line every five seconds.
#pragma once

#include "bounded_text.hpp"

#include <weir/core/time.hpp>

#include <string_view>

namespace leak {

class Console {
public:
    using Line = BoundedText<1'024>;

    /// Looks at what standard output is.
    void open();

    void event(std::string_view line) { print(output_fd, line); }
    void trouble(std::string_view line) { print(error_fd, line); }

    /// Shown if it is due, and not the same as before.
    void status(std::string_view line, weir::Instant now);

    /// Clears the status line.
    void close();

    /// Nobody reads our output any more.
    bool broken() const { return broken_; }

private:
    static constexpr int output_fd = 1;
    static constexpr int error_fd = 2;

    void print(int fd, std::string_view line);
    void write(int fd, std::string_view text);

    bool terminal_ = false;
    bool broken_ = false;
    BoundedText<256> status_;
    weir::Instant shown_{};
};

}  // namespace leak
