// SPDX-License-Identifier: MIT
#include "shm/slow_calls.hpp"

#include "link_fixture.hpp"
#include "support/child.hpp"
#include "support/forbid_call.hpp"
#include "support/skip.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <thread>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::test;
using ipc::SlowCalls;

void closes_a_socket(std::uint32_t uid) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    const Fd ours(ends[0]);
    REQUIRE(SlowCalls::close(uid, Fd(ends[1])));
    char byte = 0;
    CHECK(::recv(ours.get(), &byte, 1, 0) == 0);
    while (::fcntl(ends[1], F_GETFD) >= 0) std::this_thread::yield();
}
TEST_CASE("slow calls are made for whoever begins, and again") {
    for (int round = 0; round < 3; ++round) {
        REQUIRE(SlowCalls::begin().has_value());
        closes_a_socket(1'000);
        closes_a_socket(1'001);
        SlowCalls::end();
    }
}

// In a child that was forked beside threads qemu's user mode may fail when that starts threads of its own.
bool forked_child_can_start_threads() {
    const auto end = run_in_child([] {
        std::mutex both_started;
        std::unique_lock lock(both_started);
        const auto waits = [&both_started] { const std::lock_guard until(both_started); };
        std::thread one(waits);
        std::thread other(waits);
        lock.unlock();
        one.join();
        other.join();
        return 0;
    });
    return end.exit_status == 0;
}
TEST_CASE("slow calls are made in a child that was forked meanwhile") {
    REQUIRE(SlowCalls::begin().has_value());
    closes_a_socket(1'000);
    const bool possible = forked_child_can_start_threads();
    const auto end = run_in_child([possible] {
        if (!possible) return 0;
        REQUIRE(SlowCalls::begin().has_value());
        closes_a_socket(1'000);
        SlowCalls::end();
        return 0;
    });
    SlowCalls::end();
    if (!possible) skip("a child that was forked beside threads cannot start any here (an emulator)");
    CHECK(end.exit_status == 0);
}
TEST_CASE("slow calls are refused when their places are taken, and connections are left before that") {
    const auto end = run_in_child([] {
        // No thread has begun to take any away.
        std::array<int, 64> sockets{};
        for (std::size_t i = 0; i < sockets.size(); ++i) {
            if (SlowCalls::crowded() != (i >= sockets.size() / 2)) return 1;
            sockets[i] = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
            if (!SlowCalls::close(1'000, Fd(sockets[i]))) return 2;
        }
        const int more = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (SlowCalls::close(1'000, Fd(more)) || ::fcntl(more, F_GETFD) < 0) return 3;
        if (SlowCalls::seal(1'000, Fd(::dup(more)), 4'096, Fd(::dup(more)))) return 4;
        for (const int socket : sockets) {
            if (::fcntl(socket, F_GETFD) < 0) return 5;
        }
        return 0;
    });
    CHECK(end.exit_status == 0);
}
TEST_CASE("threads that cannot be started are an error, after which nothing is left") {
    constexpr int no_filter_status = 77;
    const auto end = run_in_child([] {
        if (!forbid_call(SYS_clone3, EAGAIN) || !forbid_call(SYS_clone, EAGAIN)) return no_filter_status;
        if (code_of(SlowCalls::begin()) != Errc::no_memory) return 1;
        return code_of(SlowCalls::begin()) == Errc::no_memory ? 0 : 2;
    });
    if (end.exit_status == no_filter_status) skip("no seccomp filters here");
    CHECK(end.exit_status == 0);
}
TEST_CASE("what was asked for is done when its server has gone, and a region that is no memory is refused") {
    const Fd done(::eventfd(0, EFD_CLOEXEC));
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const Fd writing(ends[1]);
    REQUIRE(SlowCalls::begin().has_value());
    REQUIRE(SlowCalls::seal(1'000, Fd(ends[0]), 4'096, Fd(::dup(done.get()))));
    SlowCalls::end();
    std::uint64_t verdict = 0;
    REQUIRE(::read(done.get(), &verdict, sizeof(verdict)) == sizeof(verdict));
    CHECK(verdict == static_cast<std::uint64_t>(SlowCalls::Verdict::refused));
}

}  // namespace
