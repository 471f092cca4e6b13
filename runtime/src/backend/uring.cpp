// SPDX-License-Identifier: MIT
//
// What the kernel's queue is used for follows measurements. Everything is tried directly first (in the layer
// above). Then a read from a pipe or socket is left to the queue, which moves the data itself; everything
// else is a poll through the queue, followed by the try.
//
// A send to a stream is a system call of its own, which is the soonest and cheapest way as long as few have something to
// do. Where many operations are done in one wait, the sends that follow go through the queue: one system call takes all of
// them, at the end of the turn.
//
// The queue tries a read itself as soon as it gets it. So when a descriptor was empty the last time, which in
// request and reply it is each time, a direct try beforehand would be a system call for nothing: the next few reads
// are left to the queue at once. Guessing wrong costs time and nothing else.
//
// A poll that fired for nothing would fire again at once if what makes the descriptor ready is not what the operation
// needs: a nearly full eventfd is writable, but not for every count. So the next poll is a lasting one, which fires when
// something happens, and is ended by a cancel when the operation is through.
//
// A cancel is a submission of its own. It may still be queued when its operation completes, and would then hit
// whatever operation next lives at the same address: so an operation that was cancelled is done only when both
// completions have been seen. Tags are the operation's address, with the lowest bit set for its cancel.
#include "backend/uring.hpp"

#include "sys/calls.hpp"

#include "weir/sys/message.hpp"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

namespace weir {
namespace {

using Queue = Operation::Verb::Queue;

constexpr std::uint64_t cancel_bit = 1;
constexpr std::uint64_t nop_tag = 0;
constexpr std::size_t transfer_max = std::size_t{1} << 30;  // an entry's size has 32 bits
// Then one is tried again, lest a stream that is never empty goes the long way for ever.
constexpr std::uint8_t untried_max = 16;
// So many done in one wait make a crowd.
constexpr unsigned crowd = 8;

std::uint64_t tag_of(const Operation& operation) noexcept {
    return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&operation));
}

unsigned poll_mask(const Operation& operation) noexcept {
    return operation.direction() == Direction::in ? POLLIN | POLLPRI | POLLRDHUP : POLLOUT;
}

bool moved_by_queue(const Operation& operation) noexcept {
    if (operation.polled || !operation.entry->nonblocking) return false;
    const Queue queue = operation.verb->queue;
    // Not the read of an eventfd or signalfd, whose poll is cheaper.
    if (queue == Queue::read) return operation.stream || operation.queued;
    return queue != Queue::no;
}

}  // namespace

Result<void> UringBackend::start(unsigned submissions) noexcept {
    io_uring_params parameters{};
    // One thread submits and collects, and completions run only when it asks for them: no interruption of the
    // running task, no lock in the kernel. Both flags exist since 6.1.
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                       IORING_SETUP_CLAMP;
    const int status = ::io_uring_queue_init_params(submissions, &ring_, &parameters);
    if (status < 0) return failure(Error::from_errno("io_uring_setup", -status));
    started_ = true;
    // Saves the kernel a look-up in each call; where it is refused the plain descriptor goes on serving.
    (void)::io_uring_register_ring_fd(&ring_);
    constexpr unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL;
    if ((parameters.features & needed) != needed) return failure(Errc::unsupported, "io_uring features");
    return {};
}

void UringBackend::end() noexcept {
    if (std::exchange(started_, false)) ::io_uring_queue_exit(&ring_);
}

// The kernel says in the shared flags when completions wait to be run.
bool UringBackend::quiet() noexcept {
    constexpr unsigned news = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    return ::io_uring_sq_ready(&ring_) == 0 && ::io_uring_cq_ready(&ring_) == 0 &&
           (IO_URING_READ_ONCE(*ring_.sq.kflags) & news) == 0;
}

// When the submission queue is full, what is in it goes to the kernel now, which always makes room.
io_uring_sqe* UringBackend::entry_for_submission() noexcept {
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
        const int status = ::io_uring_submit(&ring_);
        // EBUSY, EAGAIN: the kernel wants completions collected first.
        if (status == -EBUSY || status == -EAGAIN)
            collect();
        else if (status < 0 && status != -EINTR)
            return nullptr;
        sqe = ::io_uring_get_sqe(&ring_);
    }
    return sqe;
}

long UringBackend::queue(Operation& operation, Means means) noexcept {
    io_uring_sqe* const sqe = entry_for_submission();
    if (sqe == nullptr) return -ENOBUFS;
    const int fd = operation.entry->fd;
    const std::size_t size = std::min(operation.size, transfer_max);
    if (means != Means::transfer) {
        ::io_uring_prep_poll_add(sqe, fd, poll_mask(operation));
        if (means == Means::lasting_poll) sqe->len = IORING_POLL_ADD_MULTI;
    } else if (operation.verb->queue == Queue::receive || operation.verb->queue == Queue::send) {
        ::io_uring_prep_recv(sqe, fd, operation.data, size, MSG_NOSIGNAL);  // which only a send heeds
        if (operation.verb->queue == Queue::send)
            sqe->opcode = IORING_OP_SEND;
        else  // It was tried in vain just now, or not at all since it would have been: the queue need not try either.
            sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    } else if (operation.verb->queue == Queue::receive_message) {
        // With MSG_DONTWAIT the queue would not wait either.
        constexpr unsigned flags = sys::receive_message_flags & ~MSG_DONTWAIT;
        ::io_uring_prep_recvmsg(sqe, fd, &static_cast<sys::Message*>(operation.data)->header(), flags);
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    } else {
        ::io_uring_prep_read(sqe, fd, operation.data, static_cast<unsigned>(size), 0);
    }
    sqe->user_data = tag_of(operation);
    ++operation.unseen;
    return 0;
}

long UringBackend::attempt(Operation& operation) noexcept {
    const bool sends = operation.verb->queue == Queue::send;
    if (sends) operation.polled = done_in_wait_ < crowd;
    if (!moved_by_queue(operation)) return attempt_now(operation);
    if (sends) return -EAGAIN;
    std::uint8_t& untried = operation.entry->note;
    if (untried > 0) {
        --untried;
        return -EAGAIN;
    }
    const long result = attempt_now(operation);
    if (result == -EAGAIN) untried = untried_max;
    return result;
}

long UringBackend::submit(Operation& operation) noexcept {
    // The queue's poll calls a regular file ready; epoll refuses to wait for one. Looked at once per descriptor.
    DescriptorEntry& entry = *operation.entry;
    if (entry.armed == 0) [[unlikely]] {
        if (!sys::pollable(entry.fd)) return -EPERM;
        entry.armed = 1;
    }
    operation.cancelling = false;
    operation.unseen = 0;
    operation.settled = false;
    const long queued = queue(operation, moved_by_queue(operation) ? Means::transfer : Means::poll);
    if (queued < 0) return queued;
    WEIR_ASSERT(operation.entry->waiting_in(operation.direction()) == nullptr);
    operation.entry->waiting_in(operation.direction()) = &operation;
    ++in_flight_;
    return 0;
}

void UringBackend::cancel(Operation& operation) noexcept {
    if (operation.cancelling) return;
    operation.cancelling = true;
    if (operation.unseen == 0) return;  // it completes within this very wait()
    submit_cancel(operation);
}

// Where the kernel has no memory for it now, the next wait() tries again.
void UringBackend::submit_cancel(Operation& operation) noexcept {
    io_uring_sqe* const sqe = entry_for_submission();
    if (sqe == nullptr) {
        uncancelled_.push_back(operation);
        return;
    }
    if (operation.unseen == 0) {
        // Making room for the cancel collected the operation itself: it is done.
        ::io_uring_prep_nop(sqe);
        sqe->user_data = nop_tag;
        return;
    }
    ::io_uring_prep_cancel64(sqe, tag_of(operation), 0);
    sqe->user_data = tag_of(operation) | cancel_bit;
    ++operation.unseen;
}

void UringBackend::finish(Operation& operation) noexcept {
    if (operation.linked()) operation.unlink();  // it was faster than its cancel
    operation.entry->waiting_in(operation.direction()) = nullptr;
    --in_flight_;
    operation.done(operation);
}

void UringBackend::on_completion(std::uint64_t tag, int result, std::uint32_t flags) noexcept {
    if (tag == nop_tag) return;
    auto& operation = *reinterpret_cast<Operation*>(static_cast<std::uintptr_t>(tag & ~cancel_bit));
    WEIR_ASSERT(operation.unseen > 0);
    const bool lasts = (flags & IORING_CQE_F_MORE) != 0;
    if (!lasts) --operation.unseen;
    if ((tag & cancel_bit) == 0 && !operation.settled) on_own_completion(operation, result, lasts);
    if (!lasts && operation.unseen == 0) finish(operation);
}

void UringBackend::on_own_completion(Operation& operation, int result, bool lasts) noexcept {
    const bool transfer = moved_by_queue(operation);
    long outcome = result;
    // A full buffer of a stream means that there is likely more to read.
    const bool read = transfer && operation.stream && operation.direction() == Direction::in;
    if (read && result >= 0 && static_cast<std::size_t>(result) == operation.size) operation.entry->note = 0;
    // A poll that fired is followed by the try. What the try finds wins over a cancel that came meanwhile.
    if (!transfer && result >= 0) outcome = attempt_now(operation);
    if (outcome == -EINTR) outcome = -EAGAIN;
    if (outcome == -EAGAIN) {
        if (lasts) return;  // until something happens, or its cancel does
        // Somebody else took it, this kernel does not wait for a non-blocking descriptor, or it takes more than a poll
        // sees.
        if (operation.cancelling) {
            outcome = -ECANCELED;
        } else {
            const long queued = queue(operation, transfer ? Means::poll : Means::lasting_poll);
            if (queued == 0) {
                operation.polled = true;
                return;
            }
            outcome = queued;
        }
    }
    operation.result = outcome;
    if (!lasts) return;
    operation.settled = true;
    if (!operation.cancelling) cancel(operation);
}

void UringBackend::collect() noexcept {
    // One at a time, since completing may submit and so collect again.
    unsigned done = 0;
    io_uring_cqe* cqe = nullptr;
    while (::io_uring_cq_ready(&ring_) > 0 && ::io_uring_peek_cqe(&ring_, &cqe) == 0 && cqe != nullptr) {
        const std::uint64_t tag = cqe->user_data;
        const int result = cqe->res;
        const std::uint32_t flags = cqe->flags;
        ::io_uring_cqe_seen(&ring_, cqe);
        on_completion(tag, result, flags);
        ++done;
    }
    done_in_wait_ = done;
}

void UringBackend::submit_late_cancels() noexcept {
    List<OperationLinks> late;
    while (!uncancelled_.empty()) late.push_back(uncancelled_.pop_front());
    while (!late.empty()) submit_cancel(static_cast<Operation&>(late.pop_front()));
}

Result<void> UringBackend::wait(Instant until) noexcept {
    if (!uncancelled_.empty()) [[unlikely]]
        submit_late_cancels();
    io_uring_cqe* cqe = nullptr;
    int status;
    if (until == never) {
        status = ::io_uring_submit_and_wait(&ring_, 1);
    } else {
        const std::int64_t span_ns =
            until == Instant::min() ? 0 : to_ns(until) - to_ns(MonotonicClock::now());
        if (span_ns > 0) {
            // 64-bit on every architecture, unlike timespec.
            const SplitSpan span = split(Duration(span_ns));
            __kernel_timespec timeout{span.seconds, span.nanoseconds};
            status = ::io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr);
        } else {
            status = ::io_uring_submit_and_get_events(&ring_);
        }
    }
    if (status < 0 && status != -ETIME && status != -EINTR && status != -EBUSY && status != -EAGAIN) {
        return failure(Error::from_errno("io_uring_enter", -status));
    }
    collect();
    return {};
}

}  // namespace weir
