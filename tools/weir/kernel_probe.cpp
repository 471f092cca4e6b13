// SPDX-License-Identifier: MIT
//
// System calls and constants are spelt out by number where the headers of the build machine may be older than its
// kernel; numbers from 424 on are the same on every architecture.
#include "kernel_probe.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir::tool {
namespace {

constexpr long number_io_uring_setup = 425;
constexpr long number_io_uring_register = 427;
constexpr long number_pidfd_open = 434;
constexpr long number_close_range = 436;
constexpr long number_epoll_pwait2 = 441;
constexpr int seal_future_write = 0x0010;  // F_SEAL_FUTURE_WRITE, Linux 5.1

Refusal refusal(long result) noexcept {
    return result < 0 ? errno : 0;
}
/// Of a call that ought to have found fault with its arguments, which faults differ between kernels.
Refusal refusal_unless_faulty(long result) noexcept {
    return result < 0 && (errno == ENOSYS || errno == EPERM || errno == EACCES) ? errno : 0;
}
Refusal refusal_of_descriptor(int fd) noexcept {
    const Refusal refused = refusal(fd);
    if (fd >= 0) ::close(fd);
    return refused;
}
int small_memory_file() noexcept {
    return ::memfd_create("weir doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/// struct io_uring_params, 120 bytes.
struct SetupParameters {
    std::uint32_t entries[2];
    std::uint32_t flags;
    std::uint32_t thread[2];
    std::uint32_t features;
    std::uint32_t rest[24];
};
static_assert(sizeof(SetupParameters) == 120);
constexpr std::uint32_t setup_single_issuer = 1U << 12;
constexpr std::uint32_t setup_defer_taskrun = 1U << 13;

/// struct io_uring_probe with room for every operation.
struct OperationsProbe {
    struct Operation {
        std::uint8_t code;
        std::uint8_t reserved;
        std::uint16_t flags;
        std::uint32_t reserved_more;
    };
    std::uint8_t last;
    std::uint8_t size;
    std::uint16_t reserved;
    std::uint32_t reserved_more[3];
    std::array<Operation, 256> operations;
};
static_assert(sizeof(OperationsProbe) == 16 + 256 * 8);
constexpr unsigned register_probe = 8;
constexpr std::uint16_t operation_supported = 1;
constexpr std::size_t operation_poll_add = 6;
constexpr std::size_t operation_cancel = 14;
constexpr std::size_t operation_read = 22;
constexpr std::size_t operation_receive = 27;

int setup(std::uint32_t flags, std::uint32_t& features) noexcept {
    SetupParameters parameters{};
    parameters.flags = flags;
    const long fd = ::syscall(number_io_uring_setup, 4, &parameters);
    features = parameters.features;
    return static_cast<int>(fd);
}

void probe_operations(int fd, UringOffer& offer) noexcept {
    OperationsProbe probe{};
    if (::syscall(number_io_uring_register, fd, register_probe, &probe, probe.operations.size()) < 0) return;
    const auto has = [&](std::size_t code) {
        return code <= probe.last && (probe.operations[code].flags & operation_supported) != 0;
    };
    offer.probed = true;
    offer.has_read = has(operation_read);
    offer.has_receive = has(operation_receive);
    offer.has_poll = has(operation_poll_add);
    offer.has_cancel = has(operation_cancel);
}

}  // namespace

Refusal probe_epoll() noexcept {
    return refusal_of_descriptor(::epoll_create1(EPOLL_CLOEXEC));
}
Refusal probe_epoll_pwait2() noexcept {
    return refusal_unless_faulty(::syscall(number_epoll_pwait2, -1, nullptr, 0, nullptr, nullptr, 8));
}
Refusal probe_signalfd() noexcept {
    sigset_t none;
    sigemptyset(&none);
    return refusal_of_descriptor(::signalfd(-1, &none, SFD_CLOEXEC));
}
Refusal probe_eventfd() noexcept {
    return refusal_of_descriptor(::eventfd(0, EFD_CLOEXEC));
}
Refusal probe_pidfd() noexcept {
    return refusal_of_descriptor(static_cast<int>(::syscall(number_pidfd_open, ::getpid(), 0)));
}
Refusal probe_close_range() noexcept {
    return refusal_unless_faulty(::syscall(number_close_range, 2U, 1U, 0U));
}
Refusal probe_message_queues() noexcept {
    const mqd_t queue = ::mq_open("/weir.doctor.there-is-no-such-queue", O_RDONLY | O_CLOEXEC);
    const Refusal refused = refusal_unless_faulty(queue);
    if (queue >= 0) ::mq_close(queue);
    return refused;
}
Refusal probe_memfd() noexcept {
    const int fd = small_memory_file();
    if (fd < 0) return errno;
    const Refusal refused = refusal(::fallocate(fd, 0, 0, 4096));
    ::close(fd);
    return refused;
}
Refusal probe_memfd_seals() noexcept {
    const int fd = small_memory_file();
    if (fd < 0) return errno;
    const Refusal refused =
        refusal(::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | seal_future_write | F_SEAL_SEAL));
    ::close(fd);
    return refused;
}

UringOffer probe_io_uring() noexcept {
    UringOffer offer;
    const int fd = setup(0, offer.features);
    if (fd < 0) {
        offer.refusal = errno;
        return offer;
    }
    probe_operations(fd, offer);
    ::close(fd);
    std::uint32_t ignored = 0;
    const int single = setup(setup_single_issuer, ignored);
    offer.single_issuer = single >= 0;
    if (single >= 0) ::close(single);
    const int deferred = setup(setup_single_issuer | setup_defer_taskrun, ignored);
    offer.deferred = deferred >= 0;
    if (deferred >= 0) ::close(deferred);
    return offer;
}

}  // namespace weir::tool
