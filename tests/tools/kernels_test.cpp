// SPDX-License-Identifier: MIT
//
// The rows of docs/kernels.md that are about more than the choice of a backend: what a program meets where a part of
// the kernel is missing. Each in a child that gave that part up.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/forbid_call.hpp"
#include "support/skip.hpp"

#include <weir/ipc.hpp>
#include <weir/weir.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

using weir::Errc;
using weir::Scheduler;
using weir::Task;

namespace {

using namespace std::chrono_literals;

constexpr int cannot_give_up_status = 100;
constexpr weir::Budget budget{
    .frame_bytes = 32 * 1024, .submissions = 16, .descriptors = 16, .links = 8, .timer_slots = 16};
constexpr weir::ipc::RingName name{"kernels"};

Task<> writes(Scheduler& scheduler) {
    WEIR_CO_TRY(auto ring, weir::ipc::RingWriter<std::uint64_t>::create(scheduler, name, {.slots = 8}));
    for (std::uint64_t i = 0; i < 100; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve().within(30s));
        *slot = i;
        slot.commit();
    }
    WEIR_CO_CHECK(ring.close().within(30s));
}
Task<> reads(Scheduler& scheduler) {
    WEIR_CO_TRY(auto ring, weir::ipc::RingReader<std::uint64_t>::open(scheduler, name).within(30s));
    for (std::uint64_t i = 0; i < 100; ++i) {
        WEIR_CO_TRY(auto record, ring.next().within(30s));
        if (*record != i) co_return co_await weir::fail(Errc::invalid, "a record");
    }
}
Task<> through_a_ring(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::all_of(writes(scheduler), reads(scheduler)));
}

/// Runs `body`, which says on standard error what it met, in a child that gave something up and has a runtime directory;
/// that has to be `told`.
template <class GiveUp, class Body>
void expect_without(GiveUp give_up, Body body, std::string_view told) {
    char directory[] = "/tmp/weir-kernels-XXXXXX";
    REQUIRE(::mkdtemp(directory) != nullptr);
    const auto end = weir::test::run_in_child([&] {
        ::setenv("WEIR_RUNTIME_DIR", directory, 1);
        if (!give_up()) return cannot_give_up_status;
        const auto scheduler = std::make_unique<weir::StaticScheduler<budget>>();
        if (!scheduler->start({.backend = weir::BackendChoice::epoll})) return 2;
        body(*scheduler);
        return 0;
    });
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
    if (end.exit_status == cannot_give_up_status) weir::test::skip("it cannot be given up here");
    INFO(end.errors);
    CHECK(end.exit_status == 0);
    CHECK(end.errors == told);
}
template <class T>
void say(const weir::Result<T>& outcome) {
    char text[200] = "works";
    if (!outcome) outcome.error().message(text);
    std::fprintf(stderr, "%s\n", text);
}

bool give_up_pidfds() {
    constexpr std::uint32_t peer_pidfd_option = 77;  // SO_PEERPIDFD
    return weir::test::forbid_call(SYS_pidfd_open, ENOSYS) &&
           weir::test::forbid_call_with(SYS_getsockopt, 2, peer_pidfd_option, ENOPROTOOPT);
}
bool give_up_proc() {
    return ::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("tmpfs", "/proc", "tmpfs", 0, nullptr) == 0 && ::access("/proc/self", F_OK) != 0;
}

}  // namespace

TEST_CASE("without pidfds no child can be spawned, and shared memory works") {
    expect_without(
        give_up_pidfds,
        [](Scheduler&) {
            const char* const arguments[] = {"/bin/true"};
            say(weir::Process::spawn({.path = "/bin/true", .arguments = arguments}));
        },
        "spawn, opening the pidfd: not supported here [Function not implemented, errno 38]\n");
    expect_without(
        give_up_pidfds, [](Scheduler& scheduler) { say(scheduler.run(through_a_ring(scheduler))); },
        "works\n");
}

TEST_CASE("without memory files there is no shared memory, and the error says what was forbidden") {
    const auto expect_at = [](int error, std::string_view told) {
        expect_without([error] { return weir::test::forbid_call(SYS_memfd_create, error); },
                       [](Scheduler&) { say(weir::ipc::Region::create(4096, "kernels")); }, told);
    };
    expect_at(EPERM, "memfd_create: permission denied [Operation not permitted, errno 1]\n");
    expect_at(ENOSYS, "memfd_create: not supported here [Function not implemented, errno 38]\n");
}

TEST_CASE("without /proc rings work, and what only /proc tells is not found") {
    expect_without(
        give_up_proc, [](Scheduler& scheduler) { say(scheduler.run(through_a_ring(scheduler))); }, "works\n");
    expect_without(
        give_up_proc,
        [](Scheduler&) {
            const auto semaphore = weir::ipc::SharedSemaphore::create(1);
            if (semaphore) say(semaphore->value());
            say(weir::Process::adopt(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0U))));
            auto counter = weir::EventFd::create();
            if (counter) say(weir::EventFd::adopt(counter->release()));
        },
        "shared semaphore value: not found [No such file or directory, errno 2]\n"
        "adopt pidfd: not found [No such file or directory, errno 2]\n"
        "works\n");
}
