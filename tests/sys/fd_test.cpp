// SPDX-License-Identifier: MIT
#include <weir/sys/fd.hpp>

#include "support/catch.hpp"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace {

using weir::Fd;

bool open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}
Fd new_fd() {
    return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST_CASE("an owner closes its descriptor once, whoever owns it last") {
    int number = -1;
    {
        Fd first = new_fd();
        number = first.get();
        CHECK(open(number));
        Fd second = std::move(first);
        CHECK_FALSE(first);
        CHECK(first.get() == -1);
        CHECK(second.get() == number);
        CHECK(open(number));
        Fd third = new_fd();
        const int replaced = third.get();
        third = std::move(second);
        CHECK_FALSE(open(replaced));
        CHECK(third.get() == number);
    }
    CHECK_FALSE(open(number));
}

TEST_CASE("a released descriptor stays open, and closing twice closes nothing else") {
    Fd fd = new_fd();
    const Fd released(fd.release());
    CHECK_FALSE(fd);
    fd.close();
    CHECK(open(released.get()));
    Fd other = new_fd();
    const int number = other.get();
    other.close();
    const Fd same = new_fd();
    CHECK(same.get() == number);
    other.close();
    CHECK(open(number));
}

TEST_CASE("closing keeps errno") {
    Fd fd = new_fd();
    Fd nonsense(1'000'000);
    errno = ENOTTY;
    fd.close();
    nonsense.close();
    CHECK(errno == ENOTTY);
}

}  // namespace
