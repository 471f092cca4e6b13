// SPDX-License-Identifier: MIT
#pragma once

namespace weir::test {

/// Makes the kernel answer io_uring's three system calls with `error` (EPERM as containers do, ENOSYS as old kernels
/// do) to this thread and to all that it starts or executes, for good. Needs no privilege. False where seccomp is not
/// to be had, with errno set.
[[nodiscard]] bool forbid_io_uring(int error);

}  // namespace weir::test
