// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// Running a piece of a test in a forked child: because it ends the process, or needs another user.

#include <functional>
#include <string>

#include <sys/types.h>

namespace weir::test {

/// How a child ended.
struct ChildEnd {
    int exit_status = -1;  ///< -1 when a signal ended it
    int signal = 0;        ///< 0 when it exited
    std::string errors;    ///< what it wrote to stderr
};

/// Runs `body` in a forked child that exits with its result, and waits for the end. Signal handlers of the test
/// framework are reset in the child, so that a crash there is a death by signal and not a second report.
[[nodiscard]] ChildEnd run_in_child(const std::function<int()>& body);

/// The user that no file belongs to.
inline constexpr uid_t nobody_uid = 65534;
inline constexpr gid_t nobody_gid = 65534;

/// `exit_status` of a child that could not become unprivileged, or found itself root after all.
inline constexpr int still_privileged_status = 125;

/// As run_in_child, but the child first gives up root for good: all three user and group ids, supplementary groups,
/// and a check that root cannot be had back. A parent that is not root runs `body` as the user it is.
[[nodiscard]] ChildEnd run_unprivileged(const std::function<int()>& body, uid_t uid = nobody_uid,
                                        gid_t gid = nobody_gid);

}  // namespace weir::test
