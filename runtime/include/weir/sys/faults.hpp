// SPDX-License-Identifier: MIT
//
// The seam at which a test, or the simulated backend, lets system calls fail.
//
// weir makes its transfers through sys/calls. Each of them first asks the Faults that are installed in its
// thread, if any, what should happen. Nothing is installed in production, where this costs one load.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::sys {

enum class Call : std::uint8_t {
    read,
    write,
    receive,
    send,
    accept,
    connect,
    poll,
    queue_receive,
    queue_send
};

/// What a call about to be made should do instead.
struct Fault {
    int error = 0;                           ///< fail with this errno, without making the call; 0: make it
    std::size_t size_max = ~std::size_t{0};  ///< transfer at most so many bytes (at least 1)
};

/// Derive from it to choose faults. All its virtual functions are inline, so a user with RTTI can.
class Faults {
public:
    virtual Fault next(Call call, int fd, std::size_t size) noexcept = 0;

protected:
    ~Faults() = default;
};

/// Installs `faults` (or null) for this thread and returns what was installed before. The object outlives its
/// installation.
Faults* install_faults(Faults* faults) noexcept;

}  // namespace weir::sys
