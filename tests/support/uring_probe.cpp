// SPDX-License-Identifier: MIT
#include "uring_probe.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include <sys/syscall.h>
#include <unistd.h>

namespace weir::test {

std::string why_no_io_uring() {
    // struct io_uring_params is 120 bytes with the flags as its third word; spelt out, for the headers of the build
    // machine may be older than its kernel.
    constexpr std::uint32_t single_issuer = 1U << 12;
    constexpr std::uint32_t defer_taskrun = 1U << 13;
    std::array<std::uint32_t, 30> parameters{};
    parameters[2] = single_issuer | defer_taskrun;
    const long fd = ::syscall(SYS_io_uring_setup, 4, parameters.data());
    if (fd >= 0) {
        ::close(static_cast<int>(fd));
        return {};
    }
    const int error = errno;
    if (error == EINVAL) {
        return "io_uring is older than Linux 6.1 here";
    }
    return std::string{"io_uring is not available here: "} + std::strerror(error);
}

}  // namespace weir::test
