// SPDX-License-Identifier: MIT
//
// bench_count_calls PROGRAM ARGUMENT…: how many system calls the two sides of a ring program make under load.
//
// Each side tells what it made between its marks (load_marks.hpp), and the figure is their sum. PROGRAM lies beside this
// program; what it prints is dropped.

#include "load_marks.hpp"
#include "measurement.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {
namespace {

constexpr int sides = 2;

[[noreturn]] void become(char** arguments, int to) {
    std::array<char, 4'096> self{};
    if (readlink("/proc/self/exe", self.data(), self.size() - 1) < 0) fail("readlink");
    std::string program(self.data());
    program = program.substr(0, program.rfind('/') + 1) + arguments[0];
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0) fail("open /dev/null");
    if (setenv(count_to, std::to_string(to).c_str(), 1) != 0) fail("setenv");
    execv(program.c_str(), arguments);
    fail(program.c_str());
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
    using namespace bench;
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s PROGRAM ARGUMENT...\n", argv[0]);
        return 2;
    }
    int ends[2];
    if (pipe(ends) != 0) fail("pipe");
    const pid_t root = fork();
    if (root < 0) fail("fork");
    if (root == 0) {
        close(ends[0]);
        become(argv + 1, ends[1]);
    }
    close(ends[1]);
    std::uint64_t sum = 0;
    int told = 0;
    for (std::uint64_t calls = 0; read(ends[0], &calls, sizeof(calls)) == sizeof(calls); ++told) sum += calls;
    int status = 0;
    if (waitpid(root, &status, 0) != root) fail("waitpid");
    if (!WIFEXITED(status)) return 1;
    if (WEXITSTATUS(status) != 0) return WEXITSTATUS(status);
    if (told != sides) {
        std::fprintf(stderr, "%d sides told their calls, not %d\n", told, sides);
        return 1;
    }
    std::printf("%llu\n", static_cast<unsigned long long>(sum));
    return 0;
}
