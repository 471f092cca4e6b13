// SPDX-License-Identifier: MIT
#pragma once

#include "support/child.hpp"

#include <grp.h>
#include <unistd.h>

namespace weir::test {

inline constexpr uid_t stranger_uid = nobody_uid - 1;

/// Another user from here on, where there is a choice: root can become one, whoever else stays.
inline void become_a_stranger(uid_t uid = stranger_uid) {
    if (::geteuid() != 0) return;
    if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody_gid, nobody_gid, nobody_gid) != 0 ||
        ::setresuid(uid, uid, uid) != 0)
        ::_exit(still_privileged_status);
}

}  // namespace weir::test
