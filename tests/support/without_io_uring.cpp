// SPDX-License-Identifier: MIT
//
// usage: without_io_uring [--enosys] PROGRAM [ARGUMENT…]
//
// Runs a program that may not use io_uring: its system calls answer EPERM, or ENOSYS.
#include "forbid_io_uring.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <unistd.h>

int main(int argc, char** argv) {
    int error = EPERM;
    int first = 1;
    if (argc > first && std::strcmp(argv[first], "--enosys") == 0) {
        error = ENOSYS;
        ++first;
    }
    if (argc <= first) {
        std::fprintf(stderr, "usage: %s [--enosys] PROGRAM [ARGUMENT...]\n", argv[0]);
        return 2;
    }
    if (!weir::test::forbid_io_uring(error)) {
        std::perror("seccomp");
        return 2;
    }
    ::execvp(argv[first], argv + first);
    std::perror(argv[first]);
    return 127;
}
