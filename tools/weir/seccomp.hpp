// SPDX-License-Identifier: MIT
//
// Seccomp filters for weir services, made of the list of their system calls.
//
// A call that is not in the list answers EPERM. The filter looks at numbers only, so that kernels from 5.11 on remember
// its answers (a bitmap) and calls cost what they cost without it.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <linux/filter.h>

namespace weir::tool {

/// Which backends' calls a profile allows; without io_uring's a service falls back to epoll.
enum class ProfileBackend { either, epoll, io_uring };

/// The names that a profile allows, on all architectures, in the list's order.
[[nodiscard]] std::vector<std::string_view> allowed_names(ProfileBackend backend);

/// A filter for programs of this architecture that allows also the calls with the numbers `also`; another
/// architecture's calls end the process. Nothing where this architecture is not known.
[[nodiscard]] std::optional<std::vector<sock_filter>> make_filter(ProfileBackend backend,
                                                                  std::span<const long> also = {});

/// Puts the filter on this thread and all that it starts or executes, for good; gaining privileges by exec ends.
/// False where seccomp is not to be had, with errno set.
[[nodiscard]] bool install_filter(std::span<const sock_filter> filter) noexcept;

}  // namespace weir::tool
