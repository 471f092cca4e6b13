// SPDX-License-Identifier: MIT
//
// What `weir doctor` prints: a line for each thing that it looked at, and whether something will not work.
//
//     ok    io_uring: offered, with deferred completions
//     note  msg_max: 10 messages; a deeper queue is refused without CAP_SYS_RESOURCE
//     bad   memfd: forbidden [Operation not permitted]; shared memory does not work
#pragma once

#include <cstdarg>
#include <cstdio>

namespace weir::tool {

class Findings {
public:
    /// `out` stays the caller's.
    explicit Findings(std::FILE* out) noexcept : out_(out) {}

    /// As it should be, or a plain fact.
    [[gnu::format(printf, 3, 4)]] void ok(const char* subject, const char* format, ...) noexcept {
        std::va_list arguments;
        va_start(arguments, format);
        line("ok  ", subject, format, arguments);
        va_end(arguments);
    }
    /// Works, but not as well as it might, or up to a limit that is easily met.
    [[gnu::format(printf, 3, 4)]] void note(const char* subject, const char* format, ...) noexcept {
        std::va_list arguments;
        va_start(arguments, format);
        line("note", subject, format, arguments);
        va_end(arguments);
    }
    /// Something that programs ask weir for will not work here.
    [[gnu::format(printf, 3, 4)]] void bad(const char* subject, const char* format, ...) noexcept {
        ++bad_count_;
        std::va_list arguments;
        va_start(arguments, format);
        line("bad ", subject, format, arguments);
        va_end(arguments);
    }

    [[nodiscard]] int bad_count() const noexcept { return bad_count_; }

private:
    [[gnu::format(printf, 4, 0)]] void line(const char* level, const char* subject, const char* format,
                                            std::va_list arguments) noexcept {
        std::fprintf(out_, "%s  %s: ", level, subject);
        std::vfprintf(out_, format, arguments);
        std::fputc('\n', out_);
    }

    std::FILE* out_;
    int bad_count_ = 0;
};

}  // namespace weir::tool
