// SPDX-License-Identifier: MIT

#include "messaging.hpp"

#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

#include <csignal>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr std::string_view scheme = "ipc://";

std::array<char, 32> directory{"/tmp/weir-bench-XXXXXX"};
std::array<char, 64> there{};
std::array<char, 64> back{};

Attendance* shared = nullptr;
std::uint64_t published = 0;

void address_in_directory(std::array<char, 64>& address, const char* name) {
    std::snprintf(address.data(), address.size(), "%s%s/%s", scheme.data(), directory.data(), name);
}
const char* path_of(const std::array<char, 64>& address) {
    return address.data() + scheme.size();
}

}  // namespace

void prepare_messaging() {
    if (mkdtemp(directory.data()) == nullptr) fail("mkdtemp");
    address_in_directory(there, "there");
    address_in_directory(back, "back");
    void* const memory =
        mmap(nullptr, sizeof(Attendance), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    shared = ::new (memory) Attendance;
}

void clean_up_messaging() {
    // nng removes the socket's file when it closes it, ZeroMQ leaves it there.
    unlink(path_of(there));
    unlink(path_of(back));
    if (rmdir(directory.data()) != 0) fail("a socket left something behind: rmdir");
}

const char* there_address() noexcept {
    return there.data();
}
const char* back_address() noexcept {
    return back.data();
}

Attendance& attendance() noexcept {
    return *shared;
}

void pause_ms() {
    constexpr timespec millisecond{.tv_sec = 0, .tv_nsec = 1'000'000};
    nanosleep(&millisecond, nullptr);
}

void wait_until_over() {
    while (!attendance().over.load()) pause_ms();
}

void end_with_parent() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void in_processes(std::uint32_t count, void (*work)()) {
    end_with_parent();
    for (std::uint32_t i = 1; i < count; ++i) {
        const pid_t child = fork();
        if (child < 0) fail("fork");
        if (child != 0) continue;
        end_with_parent();
        work();
        _exit(0);
    }
    work();
    int status = 0;
    while (wait(&status) > 0)
        if (status != 0) _exit(1);
}

void count_published(std::uint64_t samples) noexcept {
    published = samples;
}

void report_taken_percent() {
    const auto taken = static_cast<double>(attendance().taken.load());
    print_extra("taken_percent", 100 * taken / static_cast<double>(published));
}

}  // namespace bench
