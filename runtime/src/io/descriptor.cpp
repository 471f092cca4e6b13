// SPDX-License-Identifier: MIT
#include "weir/io/descriptor.hpp"

#include "sys/calls.hpp"

#include "weir/sys/path.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>

namespace weir {
namespace {

constexpr Pending::Kind reading{"descriptor read", &OperationWait::visit_fd};
constexpr Pending::Kind writing{"descriptor write", &OperationWait::visit_fd};
constexpr StreamVerbs verbs{Operation::Verb::device_read, Operation::Verb::device_write, &reading, &writing};

struct Rate {
    std::uint32_t baud;
    speed_t speed;
};
constexpr std::array rates{
    Rate{50, B50},
    Rate{75, B75},
    Rate{110, B110},
    Rate{134, B134},
    Rate{150, B150},
    Rate{200, B200},
    Rate{300, B300},
    Rate{600, B600},
    Rate{1'200, B1200},
    Rate{1'800, B1800},
    Rate{2'400, B2400},
    Rate{4'800, B4800},
    Rate{9'600, B9600},
    Rate{19'200, B19200},
    Rate{38'400, B38400},
    Rate{57'600, B57600},
    Rate{115'200, B115200},
    Rate{230'400, B230400},
    Rate{460'800, B460800},
    Rate{500'000, B500000},
    Rate{576'000, B576000},
    Rate{921'600, B921600},
    Rate{1'000'000, B1000000},
    Rate{1'152'000, B1152000},
    Rate{1'500'000, B1500000},
    Rate{2'000'000, B2000000},
    Rate{2'500'000, B2500000},
    Rate{3'000'000, B3000000},
    Rate{3'500'000, B3500000},
    Rate{4'000'000, B4000000},
};

constexpr std::array<tcflag_t, 4> data_bits_flags{CS5, CS6, CS7, CS8};
constexpr tcflag_t framing = CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS;

Result<void> set_line(int fd, const SerialOptions& options) noexcept {
    constexpr const char* operation = "serial port open, setting the line";
    const Rate* rate = nullptr;
    for (const Rate& known : rates) {
        if (known.baud == options.baud) rate = &known;
    }
    if (rate == nullptr) return failure(Errc::invalid, "serial port open, baud", options.baud);
    if (options.data_bits < 5 || options.data_bits > 8)
        return failure(Errc::invalid, "serial port open, data bits", options.data_bits);
    if (options.stop_bits < 1 || options.stop_bits > 2)
        return failure(Errc::invalid, "serial port open, stop bits", options.stop_bits);
    termios line{};
    if (::tcgetattr(fd, &line) < 0) return failure(Error::from_errno(operation, errno));
    ::cfmakeraw(&line);
    line.c_cflag &= ~framing;
    line.c_cflag |= CLOCAL | CREAD | data_bits_flags[options.data_bits - 5U];
    if (options.parity != Parity::none) line.c_cflag |= PARENB;
    if (options.parity == Parity::odd) line.c_cflag |= PARODD;
    if (options.stop_bits == 2) line.c_cflag |= CSTOPB;
    if (options.hardware_flow) line.c_cflag |= CRTSCTS;
    line.c_cc[VMIN] = 1;
    line.c_cc[VTIME] = 0;
    if (::cfsetspeed(&line, rate->speed) < 0 || ::tcsetattr(fd, TCSAFLUSH, &line) < 0)
        return failure(Error::from_errno(operation, errno));
    // tcsetattr succeeds if it could do any of it.
    termios done{};
    if (::tcgetattr(fd, &done) < 0) return failure(Error::from_errno(operation, errno));
    if (::cfgetospeed(&done) != rate->speed) return failure(Errc::unsupported, "serial port open, baud");
    return {};
}

}  // namespace

Result<Descriptor> Descriptor::adopt(int fd) noexcept {
    constexpr const char* operation = "adopt descriptor";
    if (fd < 0 || ::fcntl(fd, F_GETFD) < 0) return failure(Error::from_errno(operation, EBADF));
    if (!sys::pollable(fd)) return failure(Errc::not_pollable, operation);
    return adopt_as<Descriptor>(fd, handle_kind::any, operation);
}
Read Descriptor::read(Bytes buffer) noexcept {
    return {*this, verbs, buffer};
}
ReadExactly Descriptor::read_exactly(Bytes buffer) noexcept {
    return {*this, verbs, buffer};
}
Write Descriptor::write(ConstBytes bytes) noexcept {
    return {*this, verbs, bytes};
}
WriteAll Descriptor::write_all(ConstBytes bytes) noexcept {
    return {*this, verbs, bytes};
}

Result<SerialPort> SerialPort::open(std::string_view path, const SerialOptions& options) noexcept {
    constexpr const char* operation = "serial port open";
    BoundedPath name(path);
    const auto fit = name.resolve(operation);
    if (!fit) return failure(fit.error());
    // Without O_NONBLOCK it would wait for a carrier.
    Fd fd(::open(name.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (!fd) {
        if (errno == EBUSY) return failure(Errc::in_use, operation);
        return failure(Error::from_errno(operation, errno));
    }
    if (::isatty(fd.get()) == 0) return failure(Errc::wrong_kind, operation);
    if (options.exclusive) {
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) < 0) {
            if (errno == EWOULDBLOCK) return failure(Errc::in_use, operation);
            return failure(Error::from_errno(operation, errno));
        }
        if (::ioctl(fd.get(), TIOCEXCL) < 0) return failure(Error::from_errno(operation, errno));
    }
    const auto set = set_line(fd.get(), options);
    if (!set) return failure(set.error());
    return SerialPort(std::move(fd));
}

}  // namespace weir
