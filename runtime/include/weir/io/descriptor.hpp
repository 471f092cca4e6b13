// SPDX-License-Identifier: MIT
//
// Any descriptor that can be polled, read and written: serial ports, CAN sockets, GPIO line events, input devices.
//
// weir knows nothing of what is behind it: what one read or write takes (a byte, a frame, an event) is the driver's
// business, and so is the buffer's size that it asks for.
#pragma once

#include "weir/io/transfer.hpp"

#include <cstdint>
#include <string_view>

namespace weir {

/// A descriptor of any pollable kind.
class Descriptor : public Handle {
public:
    Descriptor() noexcept = default;

    /// Takes over `fd`. Errors: not_pollable (a regular file, a directory, a block device), closed.
    static Result<Descriptor> adopt(int fd) noexcept;

    /// What one read(2) gives: at least one byte, or an empty span at the end. A terminal that hung up (EIO) is at its
    /// end. A terminal set to VMIN 0 seems to end whenever nothing is there; SerialPort sets VMIN 1. Errors: whatever
    /// the driver says, busy, cancelled, timed_out, no_descriptor, closed.
    [[nodiscard]] Read read(Bytes buffer) noexcept;
    /// The whole buffer, of a stream. Besides: ended, with the bytes that came in Error::a.
    [[nodiscard]] ReadExactly read_exactly(Bytes buffer) noexcept;
    /// What one write(2) takes. Errors: peer_lost (the terminal hung up), whatever the driver says, busy, cancelled,
    /// timed_out, no_descriptor, closed.
    [[nodiscard]] Write write(ConstBytes bytes) noexcept;
    /// All bytes, to a stream; after an error Error::a says how many were written. Errors as write().
    [[nodiscard]] WriteAll write_all(ConstBytes bytes) noexcept;

protected:
    explicit Descriptor(Fd fd) noexcept : Handle(std::move(fd)) {}
};

enum class Parity : std::uint8_t { none, even, odd };

/// How a serial line is set: 115,200 baud, 8N1, raw, without flow control.
struct SerialOptions {
    std::uint32_t baud = 115'200;  ///< one of the usual rates from 50 to 4,000,000
    std::uint8_t data_bits = 8;    ///< 5 to 8
    Parity parity = Parity::none;
    std::uint8_t stop_bits = 1;  ///< 1 or 2
    bool hardware_flow = false;  ///< RTS/CTS
    /// Nobody else may open the port meanwhile (TIOCEXCL), nor may another that asks for the same (flock), which holds
    /// for root too.
    bool exclusive = true;
};

/// A serial port, or any other terminal, in raw mode. It never becomes the controlling terminal.
class SerialPort : public Descriptor {
public:
    SerialPort() noexcept = default;

    /// Opens and sets the port; it keeps its settings when it is closed. What came before is dropped. Does not wait for
    /// a carrier. Errors: wrong_kind (no terminal), in_use (somebody has it exclusively), invalid (an option, a path
    /// that is empty or has a zero in it), unsupported (the driver cannot do it), too_large (path), not_found, denied,
    /// no_files.
    static Result<SerialPort> open(std::string_view path, const SerialOptions& options = {}) noexcept;

private:
    explicit SerialPort(Fd fd) noexcept : Descriptor(std::move(fd)) {}
};

}  // namespace weir
