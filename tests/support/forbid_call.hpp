// SPDX-License-Identifier: MIT
//
// Taking one system call away from a forked child, as an old kernel or a sandbox does.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir::test {

/// Puts a filter on this process for good. False where seccomp is not to be had.
template <std::size_t size>
[[nodiscard]] bool install_filter(sock_filter (&&program)[size]) {
    const sock_fprog filter{static_cast<unsigned short>(size), program};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// From here on `number` answers `error` in this process. False where seccomp is not to be had.
[[nodiscard]] inline bool forbid_call(long number, int error) {
    return install_filter({
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<std::uint32_t>(number)},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    });
}

/// The same for calls whose argument number `argument` (from 0) has the 32-bit value `value`.
[[nodiscard]] inline bool forbid_call_with(long number, std::size_t argument, std::uint32_t value,
                                           int error) {
    // The low half, on machines that put it first.
    const auto at = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * argument);
    return install_filter({
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, static_cast<std::uint32_t>(number)},
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, at},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    });
}

}  // namespace weir::test
