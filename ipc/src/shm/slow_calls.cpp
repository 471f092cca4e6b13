// SPDX-License-Identifier: MIT
//
// A lane is a thread with a few places for requests. A place goes round: free, being filled, waiting, under way, free
// again; each step is one store, so a server's thread never waits for one of these, which may have no real-time priority.
// The mutex is for beginning and ending alone.
//
// A thread that is held when the last server goes is still there when the next one comes, and is its lane's again. So
// there are never more than one for each lane, however long it is held.
#include "shm/slow_calls.hpp"

#include "core/thread_mutex.hpp"
#include "sys/calls.hpp"
#include "weir/ipc/shm/region.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace weir::ipc {
namespace {

constexpr std::size_t lanes_count = 2;
constexpr std::size_t places_count = 32;
// The others are for links that end: connections can be left where they are.
constexpr std::size_t places_for_connections = 16;
constexpr std::size_t stack_bytes = 32 * 1024;
constexpr std::size_t descriptors_max = 253;  // in one packet, by the kernel

struct Request {
    enum class State : std::uint32_t { free, filling, waiting, running };
    std::atomic<State> state{State::free};
    // Read by others that look for a lane; what they read may be old, which costs no more than a worse choice.
    std::atomic<std::uint32_t> uid{0};
    // Plain numbers, since what lies here is not destroyed when the process ends: its threads may still be held.
    int socket = -1;  // to be closed, or none
    int region = -1;  // to be sealed
    int done = -1;
    std::size_t region_size = 0;
};

struct Lane {
    std::array<Request, places_count> requests;
    ::sem_t work{};
    std::size_t next = 0;  // the thread's: where it looks first
    bool running = false;  // under the mutex
};

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): one for all servers of the process
constinit std::array<Lane, lanes_count> lanes;
constinit ThreadMutex mutex;      // of what follows
constinit std::size_t users = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
constinit pid_t process =
    0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): whose threads they are

// --- in a thread

// What it was sent is taken out of the socket, and does not linger any more. Another process can have it linger again
// meanwhile, and what lies in a socket that lies in this one is not seen: that is closed in due course, in this thread.
void disarm(int socket) noexcept {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    // Half of what the process may have besides, or others would miss it meanwhile.
    const std::size_t spare = limit.rlim_cur > static_cast<rlim_t>(socket)
                                  ? static_cast<std::size_t>(limit.rlim_cur - static_cast<rlim_t>(socket)) / 2
                                  : 0;
    // With credentials each packet has something beside it, and so an empty one is not taken for the end.
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes));
    for (;;) {
        constexpr std::size_t credentials = CMSG_SPACE(sizeof(ucred));
        alignas(cmsghdr) std::array<std::byte, credentials + CMSG_SPACE(descriptors_max * sizeof(int))>
            control;
        char unused = 0;
        iovec piece{.iov_base = &unused, .iov_len = sizeof(unused)};
        msghdr header{};
        header.msg_iov = &piece;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen =
            credentials + CMSG_LEN(std::clamp(spare, std::size_t{1}, descriptors_max) * sizeof(int));
        long got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got < 0 && (errno == EINTR || errno == ECONNRESET)) continue;  // a reset is told once
        if (got < 0 || header.msg_controllen == 0) return;
        for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one)) {
            if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
            const std::size_t count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count; ++i) {
                int number = -1;
                std::memcpy(&number, CMSG_DATA(one) + i * sizeof(int), sizeof(number));
                const Fd fd(number);
                constexpr linger at_once{.l_onoff = 0, .l_linger = 0};
                ::setsockopt(number, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
            }
        }
    }
}

void close_socket(Fd socket) noexcept {
    // Of a listener, those that nobody has taken.
    for (long taken = sys::accept(socket.get()); taken >= 0; taken = sys::accept(socket.get())) {
        const Fd connection(static_cast<int>(taken));
        ::shutdown(connection.get(), SHUT_RDWR);
        disarm(connection.get());
    }
    disarm(socket.get());
}

void make(Request& request) noexcept {
    if (request.socket >= 0) {
        close_socket(Fd(std::exchange(request.socket, -1)));
        return;
    }
    const Fd done(std::exchange(request.done, -1));
    const auto region =
        Region::received(Fd(std::exchange(request.region, -1)), request.region_size, Region::Sealed::size);
    const bool sealed = region && region->seal();
    const auto verdict =
        static_cast<std::uint64_t>(sealed ? SlowCalls::Verdict::sealed : SlowCalls::Verdict::refused);
    [[maybe_unused]] const auto written = ::write(done.get(), &verdict, sizeof(verdict));
}

Request* next_of(Lane& lane) noexcept {
    for (std::size_t i = 0; i < places_count; ++i) {
        Request& request = lane.requests[(lane.next + i) % places_count];
        // Pairs with the store of who filled it.
        if (request.state.load(std::memory_order_acquire) != Request::State::waiting) continue;
        lane.next = (lane.next + i + 1) % places_count;
        return &request;
    }
    return nullptr;
}

void be_ordinary() noexcept {
    ::pthread_setname_np(::pthread_self(), "weir-slow-calls");
    const int policy = ::sched_getscheduler(0);
    constexpr sched_param none{};
    if (policy == SCHED_FIFO || policy == SCHED_RR) ::sched_setscheduler(0, SCHED_OTHER, &none);
}

void* run_thread(void* lane_of_it) noexcept {
    Lane& lane = *static_cast<Lane*>(lane_of_it);
    be_ordinary();
    for (;;) {
        while (::sem_wait(&lane.work) != 0) {}
        while (Request* const request = next_of(lane)) {
            request->state.store(Request::State::running, std::memory_order_relaxed);
            make(*request);
            // Pairs with the exchange of who fills it next.
            request->state.store(Request::State::free, std::memory_order_release);
        }
        const ThreadGuard guard(mutex);
        if (users > 0 || next_of(lane) != nullptr) continue;
        lane.running = false;
        return nullptr;
    }
}

// --- at the servers

int start_thread(Lane& lane) noexcept {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const auto least = static_cast<std::size_t>(PTHREAD_STACK_MIN);
    int error = ::pthread_attr_setstacksize(&attributes, std::max(stack_bytes, least));
    pthread_t thread{};
    if (error == 0) error = ::pthread_create(&thread, &attributes, run_thread, &lane);
    ::pthread_attr_destroy(&attributes);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return error;
}

// In a child that was forked the threads are not there, and what they were to do is its parent's.
void forget_the_parents() noexcept {
    for (Lane& lane : lanes) {
        for (Request& request : lane.requests)
            request.state.store(Request::State::free, std::memory_order_relaxed);
        lane.running = false;
    }
    users = 0;
    process = ::getpid();
}

std::size_t taken_places(const Lane& lane) noexcept {
    return static_cast<std::size_t>(
        std::count_if(lane.requests.begin(), lane.requests.end(), [](const Request& each) {
            return each.state.load(std::memory_order_relaxed) != Request::State::free;
        }));
}

// That of the user, if any of its calls waits or is under way, else the one that has less to do.
Lane& lane_for(std::uint32_t uid) noexcept {
    for (Lane& lane : lanes) {
        for (const Request& each : lane.requests) {
            const bool taken = each.state.load(std::memory_order_relaxed) != Request::State::free;
            if (taken && each.uid.load(std::memory_order_relaxed) == uid) return lane;
        }
    }
    return *std::min_element(lanes.begin(), lanes.end(), [](const Lane& one, const Lane& other) {
        return taken_places(one) < taken_places(other);
    });
}

Request* claim(Lane& lane, std::uint32_t uid) noexcept {
    for (Request& request : lane.requests) {
        auto expected = Request::State::free;
        // Pairs with the thread's store when it was done with the one before.
        if (!request.state.compare_exchange_strong(expected, Request::State::filling,
                                                   std::memory_order_acquire))
            continue;
        request.uid.store(uid, std::memory_order_relaxed);
        return &request;
    }
    return nullptr;
}

void hand_over(Lane& lane, Request& request) noexcept {
    // Pairs with the thread's load.
    request.state.store(Request::State::waiting, std::memory_order_release);
    ::sem_post(&lane.work);
}

}  // namespace

Result<void> SlowCalls::begin() noexcept {
    const ThreadGuard guard(mutex);
    if (process != ::getpid()) forget_the_parents();
    for (Lane& lane : lanes) {
        if (lane.running) continue;
        ::sem_init(&lane.work, 0, 0);
        int error = start_thread(lane);
        lane.running = error == 0;
        if (lane.running) continue;
        if (error == EAGAIN) error = ENOMEM;  // too many threads, or no memory for a stack
        if (users == 0) {
            for (Lane& other : lanes) ::sem_post(&other.work);
        }
        return failure(Error::from_errno("serving a name, a thread for slow calls", error));
    }
    ++users;
    return {};
}

void SlowCalls::share() noexcept {
    const ThreadGuard guard(mutex);
    ++users;
}

void SlowCalls::end() noexcept {
    const ThreadGuard guard(mutex);
    if (process != ::getpid() || --users > 0) return;
    for (Lane& lane : lanes) ::sem_post(&lane.work);
}

bool SlowCalls::close(std::uint32_t uid, Fd socket) noexcept {
    ::shutdown(socket.get(), SHUT_RDWR);  // nothing more gets in, and the peer hears of it now
    Lane& lane = lane_for(uid);
    Request* const request = claim(lane, uid);
    if (request == nullptr) {
        static_cast<void>(socket.release());
        return false;
    }
    request->socket = socket.release();
    hand_over(lane, *request);
    return true;
}

bool SlowCalls::seal(std::uint32_t uid, Fd region, std::size_t size, Fd done) noexcept {
    Lane& lane = lane_for(uid);
    Request* const request = claim(lane, uid);
    if (request == nullptr) return false;
    request->region = region.release();
    request->region_size = size;
    request->done = done.release();
    hand_over(lane, *request);
    return true;
}

bool SlowCalls::crowded() noexcept {
    return std::any_of(lanes.begin(), lanes.end(),
                       [](const Lane& lane) { return taken_places(lane) >= places_for_connections; });
}

}  // namespace weir::ipc
