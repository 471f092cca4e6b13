// SPDX-License-Identifier: MIT
#pragma once

#include "support/child.hpp"

#include <grp.h>
#include <unistd.h>

namespace weir::test {

/// Another user from here on, where there is a choice: root can become one, whoever else stays.
inline void become_a_stranger() {
    constexpr uid_t stranger_uid = nobody_uid - 1;
    if (::geteuid() != 0) return;
    if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody_gid, nobody_gid, nobody_gid) != 0 ||
        ::setresuid(stranger_uid, stranger_uid, stranger_uid) != 0)
        ::_exit(still_privileged_status);
}

}  // namespace weir::test
