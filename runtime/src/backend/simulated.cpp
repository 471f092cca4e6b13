// SPDX-License-Identifier: MIT
//
// No kernel object is reimplemented: readiness comes from poll(2) without waiting, transfers are the real calls.
// What the seed decides is which of the ready operations complete in a wait, and in what order; whether a
// try that would succeed is queued first; and the faults, which are put in front of the calls at the seam in
// sys/faults.hpp. Time stands still while anything is ready and jumps to the next timer when nothing is.
//
// When nothing is ready, no timer is armed and no other thread can post, nothing can ever happen again: wait()
// says `stalled` instead of hanging the test.
#include "backend/simulated.hpp"

#include "sys/calls.hpp"

#include <algorithm>
#include <cerrno>

namespace weir {
namespace {

constexpr unsigned refusals_max = 8;
constexpr nfds_t outside_max = 512;  // 4 KiB of stack

}  // namespace

// splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
std::uint64_t SimulatedBackend::draw() noexcept {
    random_ += 0x9e37'79b9'7f4a'7c15;
    std::uint64_t mixed = random_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58'476d'1ce4'e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d0'49bb'1331'11eb;
    return mixed ^ (mixed >> 31);
}

bool SimulatedBackend::happens(std::uint8_t chances_in_256) noexcept {
    return (draw() & 0xff) < chances_in_256;
}

sys::Fault SimulatedBackend::next(sys::Call call, int, std::size_t size) noexcept {
    sys::Fault fault;
    if (attempted_ == nullptr || call == sys::Call::poll) return fault;
    if (happens(options_.interrupted)) return {.error = EINTR};
    const bool socket = call == sys::Call::receive || call == sys::Call::send;
    if (socket && happens(options_.lost_peer))
        return {.error = call == sys::Call::receive ? ECONNRESET : EPIPE};
    if (call == sys::Call::accept && happens(options_.no_files)) return {.error = EMFILE};
    if (happens(options_.would_block)) return {.error = EAGAIN};
    // An eventfd's count or a message is whole or not at all, and so perhaps a device's.
    if (attempted_->stream && !attempted_->verb->frames && size > 1 && happens(options_.short_transfer))
        fault.size_max = 1 + static_cast<std::size_t>(draw() % (size - 1));
    return fault;
}

long SimulatedBackend::attempt_with_faults(Operation& operation) noexcept {
    attempted_ = &operation;
    sys::Faults* const before = sys::install_faults(this);
    const long result = attempt_now(operation);
    sys::install_faults(before);
    attempted_ = nullptr;
    return result;
}

long SimulatedBackend::attempt(Operation& operation) noexcept {
    if (happens(options_.queued)) return -EAGAIN;
    return attempt_with_faults(operation);
}

long SimulatedBackend::submit(Operation& operation) noexcept {
    // poll(2) calls a regular file always ready; epoll refuses to wait for one.
    DescriptorEntry& entry = *operation.entry;
    if (entry.armed == 0) {
        if (!sys::pollable(entry.fd)) return -EPERM;
        entry.armed = 1;
    }
    WEIR_ASSERT(operation.entry->waiting_in(operation.direction()) == nullptr);
    operation.entry->waiting_in(operation.direction()) = &operation;
    submitted_.push_back(operation);
    ++in_flight_;
    return 0;
}

void SimulatedBackend::finish(Operation& operation, long result) noexcept {
    operation.unlink();
    operation.entry->waiting_in(operation.direction()) = nullptr;
    --in_flight_;
    operation.result = result;
    operation.done(operation);
}

void SimulatedBackend::cancel(Operation& operation) noexcept {
    // The seed decides whether data that is there already wins the race, as it may on a real kernel.
    if (happens(128) && is_ready(operation)) {
        const long result = attempt_with_faults(operation);
        if (result != -EAGAIN) {
            finish(operation, result);
            return;
        }
    }
    finish(operation, -ECANCELED);
}

bool SimulatedBackend::is_ready(const Operation& operation) const noexcept {
    const bool in = operation.direction() == Direction::in;
    return sys::poll_now(operation.entry->fd, in ? POLLIN | POLLPRI | POLLRDHUP : POLLOUT) != 0;
}

// One of the ready operations, each equally likely: reservoir sampling.
Operation* SimulatedBackend::pick_ready() noexcept {
    Operation* picked = nullptr;
    std::uint64_t seen = 0;
    submitted_.for_each([&](ListNode<OperationLinks>& node) {
        auto& operation = static_cast<Operation&>(node);
        if (is_ready(operation) && draw() % ++seen == 0) picked = &operation;
    });
    return picked;
}

std::size_t SimulatedBackend::complete_some() noexcept {
    std::size_t completed = 0;
    unsigned refusals = 0;
    // Each round completes one; how many rounds a wait has is luck too, but never none while one is ready.
    for (;;) {
        Operation* const operation = pick_ready();
        if (operation == nullptr) return completed;
        // Faults may claim that it is not ready, but not for ever.
        const long result =
            refusals < refusals_max ? attempt_with_faults(*operation) : attempt_now(*operation);
        if (result != -EAGAIN) {
            finish(*operation, result);
            ++completed;
        } else if (++refusals > refusals_max) {
            return completed;  // ready to poll but not to the call: it has to wait for more
        }
        if (completed > 0 && happens(128)) return completed;
    }
}

// Other threads may post (Remote): the one case in which a simulated program really waits.
Result<void> SimulatedBackend::wait_for_outside() noexcept {
    pollfd outside[outside_max];
    nfds_t count = 0;
    submitted_.for_each([&](ListNode<OperationLinks>& node) {
        const auto& operation = static_cast<const Operation&>(node);
        if (operation.entry->external && count++ < outside_max) {
            outside[count - 1] = {.fd = operation.entry->fd, .events = POLLIN, .revents = 0};
        }
    });
    if (count == 0) return failure(Errc::stalled, "simulated wait");
    if (count > outside_max)
        return failure(Errc::too_large, "simulated wait, descriptors of other threads", count, outside_max);
    if (::poll(outside, count, -1) < 0 && errno != EINTR) return failure(Error::from_errno("poll", errno));
    return {};
}

Result<void> SimulatedBackend::wait(Instant until) noexcept {
    if (complete_some() > 0 || until <= now_) return {};
    if (until != never) {
        now_ = until;
        return {};
    }
    return wait_for_outside();
}

}  // namespace weir
