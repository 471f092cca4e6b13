// SPDX-License-Identifier: MIT
//
// Requests lie in places, which go round: free, being filled, waiting, under way, free again. Each step of a server's
// thread is one exchange or store, so it never waits for one of these, which may have no real-time priority. What they
// have to agree on between them is under a mutex of their own; another one is for beginning and ending.
//
// A thread that is held when the last server goes is still there when the next one comes. So there are never more than
// two, however long they are held.
#include "shm/slow_calls.hpp"

#include "core/thread_mutex.hpp"
#include "sys/calls.hpp"
#include "sys/threads.hpp"
#include "weir/ipc/shm/region.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace weir::ipc {
namespace {

constexpr std::size_t threads_count = 2;
constexpr std::size_t places_count = 64;
// The others are for links that end: connections can be left where they are.
constexpr std::size_t places_for_connections = 32;
constexpr std::size_t stack_bytes = 32 * 1024;
constexpr std::size_t descriptors_max = 253;  // in one packet, by the kernel

struct Request {
    enum class State : std::uint32_t { free, filling, waiting, running };
    std::atomic<State> state{State::free};
    std::uint32_t uid = 0;
    // Plain numbers, since what lies here is not destroyed when the process ends: its threads may still be held.
    int socket = -1;  // to be closed, or none
    int region = -1;  // to be sealed
    int done = -1;
    std::size_t region_size = 0;
};

struct Thread {
    bool running = false;   // under beginning
    bool busy = false;      // as the following under picking
    std::uint32_t uid = 0;  // whose call it makes
};

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): one of each for all servers of the process
constinit std::array<Request, places_count> places;
constinit std::array<Thread, threads_count> threads;
constinit ::sem_t work{};
constinit ThreadMutex picking;
constinit std::size_t next_place = 0;  // where a thread looks first; under picking
constinit ThreadMutex beginning;       // of the following
constinit std::atomic<std::size_t> users = 0;
constinit std::atomic<pid_t> process = 0;  // whose threads they are
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

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

bool busy_for(std::uint32_t uid) noexcept {
    return std::any_of(threads.begin(), threads.end(),
                       [uid](const Thread& each) { return each.busy && each.uid == uid; });
}

// What waits, of users for whom no thread is busy. So one user never has both. Under picking.
Request* find_work() noexcept {
    for (std::size_t i = 0; i < places_count; ++i) {
        Request& request = places[(next_place + i) % places_count];
        // Pairs with the store of who filled it.
        if (request.state.load(std::memory_order_acquire) != Request::State::waiting || busy_for(request.uid))
            continue;
        return &request;
    }
    return nullptr;
}

Request* pick(Thread& self) noexcept {
    const ThreadGuard guard(picking);
    self.busy = false;
    Request* const request = find_work();
    if (request == nullptr) return nullptr;
    next_place = static_cast<std::size_t>(request - places.data() + 1) % places_count;
    request->state.store(Request::State::running, std::memory_order_relaxed);
    self.busy = true;
    self.uid = request->uid;
    return request;
}

bool has_work() noexcept {
    const ThreadGuard guard(picking);
    return find_work() != nullptr;
}

void be_ordinary() noexcept {
    ::pthread_setname_np(::pthread_self(), "weir-slow-calls");
    const int policy = ::sched_getscheduler(0);
    constexpr sched_param none{};
    if (policy == SCHED_FIFO || policy == SCHED_RR) ::sched_setscheduler(0, SCHED_OTHER, &none);
}

void* run_thread(void* thread) noexcept {
    Thread& self = *static_cast<Thread*>(thread);
    be_ordinary();
    for (;;) {
        while (::sem_wait(&work) != 0) {}
        for (;;) {
            while (Request* const request = pick(self)) {
                make(*request);
                // Pairs with the exchange of who fills it next.
                request->state.store(Request::State::free, std::memory_order_release);
            }
            if (users.load(std::memory_order_relaxed) > 0) break;
            const ThreadGuard guard(beginning);
            if (users.load(std::memory_order_relaxed) > 0) break;
            // What was asked for just before the last one ended; the rest is for the thread that is busy for its user.
            if (has_work()) continue;
            self.running = false;
            return nullptr;
        }
    }
}

// --- at the servers

// In a child that was forked the threads are not there, what they were to do is its parent's, and a mutex that one of them
// had is nobody's. A child that has just been forked is alone with it.
void forget_the_parents() noexcept {
    ::new (&picking) ThreadMutex;
    ::new (&beginning) ThreadMutex;
    for (Request& request : places) request.state.store(Request::State::free, std::memory_order_relaxed);
    for (Thread& thread : threads) thread = {};
    users = 0;
    process = 0;
}

Request* claim(std::uint32_t uid) noexcept {
    for (Request& request : places) {
        auto expected = Request::State::free;
        // Pairs with the thread's store when it was done with the one before.
        if (!request.state.compare_exchange_strong(expected, Request::State::filling,
                                                   std::memory_order_acquire))
            continue;
        request.uid = uid;
        return &request;
    }
    return nullptr;
}

void hand_over(Request& request) noexcept {
    // Pairs with the thread's load.
    request.state.store(Request::State::waiting, std::memory_order_release);
    ::sem_post(&work);
}

void wake_all() noexcept {
    for (std::size_t i = 0; i < threads_count; ++i) ::sem_post(&work);
}

}  // namespace

Result<void> SlowCalls::begin() noexcept {
    if (const pid_t whose = process; whose != 0 && whose != ::getpid()) forget_the_parents();
    const ThreadGuard guard(beginning);
    process = ::getpid();
    const bool any =
        std::any_of(threads.begin(), threads.end(), [](const Thread& each) { return each.running; });
    if (!any) ::sem_init(&work, 0, 0);
    for (Thread& thread : threads) {
        if (thread.running) continue;
        pthread_t started{};
        const int error = sys::start_thread(started, stack_bytes, run_thread, &thread);
        thread.running = error == 0;
        if (thread.running) {
            ::pthread_detach(started);
            continue;
        }
        if (users == 0) wake_all();  // one that was started ends again
        return failure(Error::from_errno("serving a name, a thread for slow calls", error));
    }
    ++users;
    return {};
}

void SlowCalls::share() noexcept {
    const ThreadGuard guard(beginning);
    ++users;
}

void SlowCalls::end() noexcept {
    const ThreadGuard guard(beginning);
    if (process == ::getpid() && --users == 0) wake_all();
}

bool SlowCalls::close(std::uint32_t uid, Fd socket) noexcept {
    ::shutdown(socket.get(), SHUT_RDWR);  // nothing more gets in, and the peer hears of it now
    Request* const request = claim(uid);
    const int number = socket.release();
    if (request == nullptr) return false;
    request->socket = number;
    hand_over(*request);
    return true;
}

bool SlowCalls::seal(std::uint32_t uid, Fd region, std::size_t size, Fd done) noexcept {
    Request* const request = claim(uid);
    if (request == nullptr) return false;
    request->region = region.release();
    request->region_size = size;
    request->done = done.release();
    hand_over(*request);
    return true;
}

bool SlowCalls::crowded() noexcept {
    const auto taken = std::count_if(places.begin(), places.end(), [](const Request& each) {
        return each.state.load(std::memory_order_relaxed) != Request::State::free;
    });
    return taken >= static_cast<long>(places_for_connections);
}

}  // namespace weir::ipc
