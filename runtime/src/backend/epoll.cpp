// SPDX-License-Identifier: MIT
//
// A descriptor is registered once, edge-triggered, when an operation on it first has to wait, for the direction
// it waits in; the registration stays until the descriptor is forgotten. Every operation tries before it waits, so
// an edge that arrives while nobody waits may be thrown away: whoever comes next finds the data by trying. Hence
// there is no readiness state to keep, and no epoll_ctl in the steady state. Only a socket that was read empty is not
// tried again before an event came; it is the try that sees to that (attempt_drain in operation.cpp).
//
// Interest in EPOLLOUT is dropped again at the first such event that nobody waits for: a stream socket reports
// one whenever its peer reads.
#include "backend/epoll.hpp"

#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir {
namespace {

constexpr std::uint8_t armed_in = 1;
constexpr std::uint8_t armed_out = 2;
constexpr int events_max = 64;

int epoll_pwait2(int fd, epoll_event* events, int count_max, const void* timeout) noexcept {
    constexpr long epoll_pwait2_number = 441;  // the same on every architecture
    constexpr std::size_t signal_mask_size = 8;
    return static_cast<int>(
        ::syscall(epoll_pwait2_number, fd, events, count_max, timeout, nullptr, signal_mask_size));
}

}  // namespace

Result<void> EpollBackend::start() noexcept {
    epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return failure(Error::from_errno("epoll_create1", errno));
    epoll_event event;
    const KernelTimespec nothing{0, 0};
    has_pwait2_ = epoll_pwait2(epoll_.get(), &event, 1, &nothing) >= 0;
    return {};
}

void EpollBackend::end() noexcept {
    epoll_.close();
}

long EpollBackend::arm(DescriptorEntry& entry, std::uint8_t wanted) noexcept {
    epoll_event interest{};
    interest.events = EPOLLET;
    if ((wanted & armed_in) != 0) interest.events |= EPOLLIN | EPOLLPRI | EPOLLRDHUP;
    if ((wanted & armed_out) != 0) interest.events |= EPOLLOUT;
    interest.data.u64 = descriptors_.index_of(entry) | (std::uint64_t{entry.generation} << 32);
    const int verb = entry.armed == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (::epoll_ctl(epoll_.get(), verb, entry.fd, &interest) < 0) return -errno;
    entry.armed = wanted;
    return 0;
}

long EpollBackend::submit(Operation& operation) noexcept {
    DescriptorEntry& entry = *operation.entry;
    const Direction direction = operation.direction();
    const std::uint8_t bit = direction == Direction::in ? armed_in : armed_out;
    if ((entry.armed & bit) == 0) {
        const long armed = arm(entry, static_cast<std::uint8_t>(entry.armed | bit));
        if (armed < 0) return armed;
    }
    WEIR_ASSERT(entry.waiting_in(direction) == nullptr);
    entry.waiting_in(direction) = &operation;
    ++in_flight_;
    return 0;
}

void EpollBackend::finish(Operation& operation, long result) noexcept {
    operation.entry->waiting_in(operation.direction()) = nullptr;
    --in_flight_;
    operation.result = result;
    operation.done(operation);
}

void EpollBackend::cancel(Operation& operation) noexcept {
    finish(operation, -ECANCELED);
}

void EpollBackend::forget(DescriptorEntry& entry) noexcept {
    if (entry.armed == 0) return;
    epoll_event unused{};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry.fd, &unused);
    entry.armed = 0;
}

void EpollBackend::on_events(DescriptorEntry& entry, std::uint32_t events) noexcept {
    constexpr std::uint32_t both = EPOLLHUP | EPOLLERR;
    entry.note = (events & (EPOLLPRI | EPOLLRDHUP | both)) != 0 ? told_of::more : told_of::bytes;
    Operation* const reader = entry.waiting_in(Direction::in);
    if (reader != nullptr && (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | both)) != 0) {
        const long result = attempt_now(*reader);
        if (result != -EAGAIN) finish(*reader, result);
    }
    Operation* const writer = entry.waiting_in(Direction::out);
    if (writer != nullptr && (events & (EPOLLOUT | both)) != 0) {
        const long result = attempt_now(*writer);
        if (result != -EAGAIN) finish(*writer, result);
    } else if (writer == nullptr && (entry.armed & armed_out) != 0 && (entry.armed & armed_in) != 0) {
        // Best effort: if it fails, the only harm is another needless event.
        (void)arm(entry, armed_in);
    }
}

int EpollBackend::wait_for(epoll_event* events, const KernelTimespec* timeout) noexcept {
    if (has_pwait2_) return epoll_pwait2(epoll_.get(), events, events_max, timeout);
    // Before 5.11, and where a sandbox does not know the call: milliseconds from epoll_wait would be too coarse.
    int timeout_ms = -1;
    if (timeout != nullptr) {
        pollfd any{.fd = epoll_.get(), .events = POLLIN, .revents = 0};
        const timespec span{.tv_sec = static_cast<time_t>(timeout->seconds),
                            .tv_nsec = static_cast<long>(timeout->nanoseconds)};
        const int ready = ::ppoll(&any, 1, &span, nullptr);
        if (ready <= 0) return ready;
        timeout_ms = 0;
    }
    return ::epoll_wait(epoll_.get(), events, events_max, timeout_ms);
}

// epoll has no shared memory that could be looked at: only time tells. The clock is read here and not in wait(), which
// most programs call without ever asking this.
bool EpollBackend::quiet() noexcept {
    const Instant now = MonotonicClock::now();
    if (std::exchange(just_waited_, false)) asked_at_ = now;
    return now - asked_at_ < glance;
}

Result<void> EpollBackend::wait(Instant until) noexcept {
    just_waited_ = true;
    epoll_event events[events_max];
    KernelTimespec timeout{0, 0};
    if (until != Instant::min() && until != never) {
        const std::int64_t span_ns = to_ns(until) - to_ns(MonotonicClock::now());
        if (span_ns > 0) {
            const SplitSpan span = split(Duration(span_ns));
            timeout = {span.seconds, span.nanoseconds};
        }
    }
    const int count = wait_for(events, until == never ? nullptr : &timeout);
    if (count < 0) {
        if (errno == EINTR) return {};
        return failure(Error::from_errno("epoll wait", errno));
    }
    for (int i = 0; i < count; ++i) {
        const std::uint64_t tag = events[i].data.u64;
        DescriptorEntry* const entry =
            descriptors_.find(static_cast<std::uint32_t>(tag), static_cast<std::uint32_t>(tag >> 32));
        if (entry != nullptr) on_events(*entry, events[i].events);
    }
    return {};
}

}  // namespace weir
