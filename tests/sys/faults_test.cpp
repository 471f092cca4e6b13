// SPDX-License-Identifier: MIT
#include <weir/sys/faults.hpp>

#include "sys/calls.hpp"

#include <weir/sys/fd.hpp>

#include "support/catch.hpp"

#include <array>
#include <cerrno>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using weir::Fd;
using weir::sys::Call;
using weir::sys::Fault;

/// Answers from a list, and notes what was asked.
class Listed final : public weir::sys::Faults {
public:
    explicit Listed(std::vector<Fault> faults) : faults_(std::move(faults)) {
        before_ = weir::sys::install_faults(this);
    }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;
    ~Listed() { weir::sys::install_faults(before_); }

    Fault next(Call call, int, std::size_t) noexcept override {
        last = call;
        ++asked;
        return asked <= faults_.size() ? faults_[asked - 1] : Fault{};
    }
    Call last = Call::poll;
    std::size_t asked = 0;

private:
    std::vector<Fault> faults_;
    weir::sys::Faults* before_;
};

struct Ends {
    Ends() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        one = Fd(ends[0]);
        other = Fd(ends[1]);
    }
    Fd one;
    Fd other;
};

TEST_CASE("an interrupted call is made again, and never reported") {
    const Ends ends;
    Listed faults({{.error = EINTR}, {.error = EINTR}, {.error = EINTR}});
    CHECK(weir::sys::write(ends.one.get(), "abc", 3) == 3);
    CHECK(faults.asked == 4);
    CHECK(faults.last == Call::write);
}

TEST_CASE("a fault takes the place of the call") {
    const Ends ends;
    char byte = 'x';
    {
        Listed faults({{.error = EAGAIN}, {.error = ECONNRESET}, {.error = EPIPE}, {.error = EMFILE}});
        CHECK(weir::sys::read(ends.one.get(), &byte, 1) == -EAGAIN);
        CHECK(weir::sys::receive(ends.one.get(), &byte, 1) == -ECONNRESET);
        CHECK(weir::sys::send(ends.one.get(), &byte, 1) == -EPIPE);
        CHECK(weir::sys::accept(ends.one.get()) == -EMFILE);
    }
    CHECK(weir::sys::receive(ends.other.get(), &byte, 1) == -EAGAIN);  // nothing was sent
}

TEST_CASE("a transfer is cut to the size allowed, but not to nothing") {
    const Ends ends;
    std::array<char, 8> buffer{};
    Listed faults({{.size_max = 3}, {.size_max = 0}, {.size_max = 100}});
    CHECK(weir::sys::send(ends.one.get(), "12345", 5) == 3);
    CHECK(weir::sys::receive(ends.other.get(), buffer.data(), buffer.size()) == 1);
    CHECK(weir::sys::receive(ends.other.get(), buffer.data(), buffer.size()) == 2);
}

TEST_CASE("faults are a thread's own, and nest") {
    const Ends ends;
    Listed outer({{.error = EIO}, {.error = EIO}});
    {
        Listed inner(std::vector<Fault>{{.error = ENOSPC}});
        CHECK(weir::sys::write(ends.one.get(), "x", 1) == -ENOSPC);
    }
    long elsewhere = 0;
    std::thread other([&] { elsewhere = weir::sys::write(ends.one.get(), "x", 1); });
    other.join();
    CHECK(elsewhere == 1);
    CHECK(weir::sys::write(ends.one.get(), "x", 1) == -EIO);
}

}  // namespace
