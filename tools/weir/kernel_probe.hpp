// SPDX-License-Identifier: MIT
//
// Asking the kernel whether it has a system call, without any effect of the call.
//
// Most are asked with arguments that cannot be right: a kernel that has the call finds fault with them, one that lacks
// it, or a sandbox, does not look at them.
#pragma once

#include <cstdint>
#include <optional>

namespace weir::tool {

/// 0: it is there. Else the errno with which it is refused: ENOSYS (the kernel is older, or a sandbox says so), EPERM
/// or EACCES (a sandbox or a policy).
using Refusal = int;

[[nodiscard]] Refusal probe_epoll() noexcept;
[[nodiscard]] Refusal probe_epoll_pwait2() noexcept;
[[nodiscard]] Refusal probe_signalfd() noexcept;
[[nodiscard]] Refusal probe_eventfd() noexcept;
[[nodiscard]] Refusal probe_pidfd() noexcept;
[[nodiscard]] Refusal probe_close_range() noexcept;
[[nodiscard]] Refusal probe_message_queues() noexcept;
/// A small memory file, with all its pages, and the seals of a shared region.
[[nodiscard]] Refusal probe_memfd() noexcept;
[[nodiscard]] Refusal probe_memfd_seals() noexcept;

/// What io_uring offers here.
struct UringOffer {
    Refusal refusal = 0;  ///< of io_uring_setup at all; if it is not 0 the rest says nothing
    bool single_issuer = false;
    bool deferred = false;       ///< DEFER_TASKRUN with SINGLE_ISSUER
    std::uint32_t features = 0;  ///< IORING_FEAT_…
    bool has_read = false;
    bool has_receive = false;
    bool has_poll = false;
    bool has_cancel = false;
    bool probed = false;  ///< whether the kernel could say which operations it has
};
[[nodiscard]] UringOffer probe_io_uring() noexcept;

}  // namespace weir::tool
