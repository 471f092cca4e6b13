// SPDX-License-Identifier: MIT
//
// A serial port: ask a device for a value, line by line, with a time-out where it does not answer.
//
//     build/gcc/examples/serial_port                  (plays the device itself, at the other end of a pseudo-terminal)
//     build/gcc/examples/serial_port /dev/ttyUSB0     (or another one that knows these commands)
//
// Shows: opening a port with its settings, reading up to the end of a line, and any other descriptor as a Descriptor.
#include <weir/weir.hpp>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

/// Reads up to the end of a line into `line`, and tells the line's size; an empty one at the end of the stream.
Task<std::size_t> read_line(Scheduler&, weir::Descriptor& from, weir::Bytes line) {
    for (std::size_t size = 0; size < line.size();) {
        WEIR_CO_TRY(const auto bytes, from.read(line.subspan(size, 1)));
        if (bytes.empty()) co_return 0;
        if (bytes[0] == std::byte{'\n'}) co_return size;
        ++size;
    }
    co_return co_await weir::fail(weir::Errc::too_large, "line", line.size() + 1, line.size());
}

Task<> ask(Scheduler& scheduler, weir::SerialPort& port, std::string_view question, weir::Duration patience) {
    WEIR_CO_CHECK(port.write_all(weir::bytes_of(question)).within(1s));
    std::array<std::byte, 32> line;
    const auto size = co_await read_line(scheduler, port, line).within(patience);
    const int shown = static_cast<int>(question.size()) - 1;
    if (size) {
        const auto answer = weir::text_of(weir::Bytes(line).first(*size));
        std::printf("%.*s: %.*s\n", shown, question.data(), static_cast<int>(answer.size()), answer.data());
    } else if (size.error() == weir::Errc::timed_out) {
        std::printf("%.*s: no answer\n", shown, question.data());
    } else {
        co_return co_await weir::fail(size.error());
    }
}

/// Answers `T?`, and nothing else.
Task<> device(Scheduler& scheduler, weir::Descriptor& line_end) {
    for (;;) {
        std::array<std::byte, 32> line;
        WEIR_CO_TRY(const auto size, read_line(scheduler, line_end, line));
        if (size == 0) co_return;
        const bool known = weir::text_of(weir::Bytes(line).first(size)) == "T?";
        if (known) WEIR_CO_CHECK(line_end.write_all(weir::bytes_of("21.5 C\n")));
    }
}

Task<> questions(Scheduler& scheduler, const char* path) {
    // 115,200 baud and raw mode are the defaults; nobody else can open the port meanwhile.
    WEIR_CO_TRY(auto port, weir::SerialPort::open(path, {.baud = 9'600}));
    WEIR_CO_CHECK(ask(scheduler, port, "T?\n", 10s));
    WEIR_CO_CHECK(ask(scheduler, port, "humidity?\n", 50ms));
    WEIR_CO_CHECK(ask(scheduler, port, "T?\n", 10s));
}

Task<> program(Scheduler& scheduler, weir::Arguments arguments) {
    if (arguments.size() > 1) {
        WEIR_CO_CHECK(questions(scheduler, arguments[1]));
        co_return;
    }
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || ::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0)
        co_return co_await weir::fail(weir::Error::from_errno("pseudo-terminal", errno));
    WEIR_CO_TRY(auto line_end, weir::Descriptor::adopt(terminal));
    auto ended =
        co_await weir::first_of(questions(scheduler, ::ptsname(terminal)), device(scheduler, line_end));
    WEIR_CO_CHECK(ended.get<0>());
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, program);
}
