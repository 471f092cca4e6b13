// SPDX-License-Identifier: MIT
#include "forbid_io_uring.hpp"

#include "forbid_call.hpp"

namespace weir::test {

bool forbid_io_uring(int error) {
    // io_uring_setup, io_uring_enter and io_uring_register have these numbers on every architecture.
    constexpr std::uint32_t first_call = 425;
    constexpr std::uint32_t last_call = 427;
    return install_filter({
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        {BPF_JMP | BPF_JGE | BPF_K, 0, 2, first_call},
        {BPF_JMP | BPF_JGT | BPF_K, 1, 0, last_call},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    });
}

}  // namespace weir::test
