// SPDX-License-Identifier: MIT
#include "forbid_io_uring.hpp"

#include "catch.hpp"
#include "child.hpp"
#include "skip.hpp"
#include "uring_probe.hpp"

#include <cerrno>
#include <cstring>

#include <sys/prctl.h>

TEST_CASE("forbidden io_uring answers with the error asked for") {
    constexpr int no_filter_status = 77;
    for (const int error : {EPERM, ENOSYS}) {
        const auto end = weir::test::run_in_child([error] {
            if (!weir::test::forbid_io_uring(error)) return no_filter_status;
            return weir::test::why_no_io_uring().find(std::strerror(error)) != std::string::npos ? 0 : 1;
        });
        if (end.exit_status == no_filter_status) weir::test::skip("no seccomp filters here");
        CHECK(end.exit_status == 0);
    }
}

TEST_CASE("other system calls go on where io_uring is forbidden") {
    const auto end = weir::test::run_in_child([] {
        static_cast<void>(weir::test::forbid_io_uring(EPERM));
        return ::prctl(PR_GET_DUMPABLE) >= 0 ? 0 : 1;
    });
    CHECK(end.exit_status == 0);
}
