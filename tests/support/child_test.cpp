// SPDX-License-Identifier: MIT
#include "child.hpp"

#include "catch.hpp"
#include "skip.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

TEST_CASE("a child's exit status and its errors come back") {
    const auto end = weir::test::run_in_child([] {
        std::fprintf(stderr, "from the child");
        return 7;
    });
    CHECK(end.exit_status == 7);
    CHECK(end.signal == 0);
    CHECK(end.errors == "from the child");
}

TEST_CASE("a child's death by signal comes back") {
    const auto end = weir::test::run_in_child([]() -> int { std::abort(); });
    CHECK(end.exit_status == -1);
    CHECK(end.signal == SIGABRT);
}

TEST_CASE("an unprivileged child is the user asked for and cannot become root again") {
    if (::geteuid() != 0) {
        weir::test::skip("only root can become another user");
    }
    const auto end = weir::test::run_unprivileged(
        [] {
            const bool right_ids = ::getuid() == 4242 && ::geteuid() == 4242 && ::getgid() == 4343;
            return right_ids && ::seteuid(0) != 0 && ::getgroups(0, nullptr) == 0 ? 0 : 1;
        },
        4242, 4343);
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("an unprivileged child may not read what only root may") {
    const auto end =
        weir::test::run_unprivileged([] { return ::open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0 ? 0 : 1; });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}
