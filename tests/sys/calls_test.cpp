// SPDX-License-Identifier: MIT
#include "sys/calls.hpp"

#include <weir/sys/fd.hpp>

#include "support/catch.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using weir::Fd;
namespace sys = weir::sys;

TEST_CASE("calls give a value or the negative errno") {
    char byte = 0;
    CHECK(sys::read(-1, &byte, 1) == -EBADF);
    CHECK(sys::write(-1, &byte, 1) == -EBADF);
    CHECK(sys::accept(-1) == -EBADF);
    CHECK(sys::is_nonblocking(-1) == -EBADF);
    CHECK(sys::set_cloexec(-1) == -EBADF);
    CHECK(sys::set_nonblocking(-1) == -EBADF);
}

TEST_CASE("receive and send never wait and never raise SIGPIPE, whatever the descriptor's mode") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);  // blocking
    const Fd one(ends[0]);
    Fd other(ends[1]);
    char byte = 0;
    CHECK(sys::receive(one.get(), &byte, 1) == -EAGAIN);
    while (sys::send(one.get(), "0123456789abcdef", 16) > 0) {}
    CHECK(sys::send(one.get(), &byte, 1) == -EAGAIN);
    other.close();
    const auto before = ::signal(SIGPIPE, SIG_DFL);
    CHECK(sys::send(one.get(), &byte, 1) == -EPIPE);
    ::signal(SIGPIPE, before);
}

TEST_CASE("poll_now says what is there now, and 0 for nothing") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    CHECK(sys::poll_now(reader.get(), POLLIN) == 0);
    CHECK(sys::poll_now(writer.get(), POLLOUT) == POLLOUT);
    REQUIRE(::write(writer.get(), "x", 1) == 1);
    CHECK(sys::poll_now(reader.get(), POLLIN) == POLLIN);
    writer.close();
    CHECK((sys::poll_now(reader.get(), POLLIN) & POLLHUP) != 0);
}

TEST_CASE("modes are set once and read back") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const Fd reader(ends[0]);
    const Fd writer(ends[1]);
    CHECK(sys::is_nonblocking(reader.get()) == 0);
    CHECK(sys::set_nonblocking(reader.get()) == 0);
    CHECK(sys::is_nonblocking(reader.get()) == 1);
    CHECK(sys::is_nonblocking(writer.get()) == 0);
    CHECK(sys::set_cloexec(reader.get()) == 0);
    CHECK(::fcntl(reader.get(), F_GETFD) == FD_CLOEXEC);
    CHECK(::fcntl(writer.get(), F_GETFD) == 0);
}

TEST_CASE("files and directories are not pollable, pipes, sockets and eventfds are") {
    const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    const Fd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Fd event(::eventfd(0, EFD_CLOEXEC));
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK_FALSE(sys::pollable(file.get()));
    CHECK_FALSE(sys::pollable(directory.get()));
    CHECK_FALSE(sys::pollable(-1));
    CHECK(sys::pollable(event.get()));
    CHECK(sys::pollable(socket.get()));
}

// What the epoll backend and the FIFO's reads rest upon.
TEST_CASE("the kernel tells a FIFO without a first writer from one whose writers have gone") {
    char path[] = "/tmp/weir-fifo-XXXXXX";
    REQUIRE(::mkdtemp(path) != nullptr);
    const std::string fifo = std::string(path) + "/f";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    const Fd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    char byte = 0;
    CHECK(sys::read(reader.get(), &byte, 1) == 0);
    CHECK(sys::poll_now(reader.get(), POLLIN) == 0);
    Fd writer(::open(fifo.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    CHECK(sys::read(reader.get(), &byte, 1) == -EAGAIN);
    writer.close();
    CHECK(sys::read(reader.get(), &byte, 1) == 0);
    CHECK(sys::poll_now(reader.get(), POLLIN) == POLLHUP);
    ::unlink(fifo.c_str());
    ::rmdir(path);
}

TEST_CASE("the kernel calls a full backlog ready to connect, so that there is nothing to wait for") {
    const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr address{};
    address.sa_family = AF_UNIX;
    REQUIRE(::bind(listener.get(), &address, sizeof(sa_family_t)) == 0);  // the kernel makes up a name
    REQUIRE(::listen(listener.get(), 0) == 0);
    sockaddr_storage name{};
    socklen_t size = sizeof(name);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0);
    const auto connect = [&](const Fd& fd) {
        return sys::connect(fd.get(), reinterpret_cast<sockaddr*>(&name), size);
    };
    const Fd first(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    CHECK(connect(first) == 0);
    const Fd second(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    CHECK(connect(second) == -EAGAIN);
    CHECK((sys::poll_now(second.get(), POLLOUT) & POLLOUT) != 0);
}

// Before Linux 6.5 the number is all there is; a descriptor that is no socket stands for such a kernel.
TEST_CASE("a peer that has ended is gone, although its number lives on as a process group's") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    const pid_t leader = ::fork();
    if (leader == 0) {
        ::setpgid(0, 0);
        if (::fork() == 0) {
            writer.close();
            char byte = 0;
            (void)!::read(reader.get(), &byte, 1);  // until the test closes its end
        }
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(leader, &status, 0) == leader);
    CHECK(::kill(-leader, 0) == 0);  // the group is there
    CHECK(sys::open_peer_process(reader.get(), leader) == -ESRCH);
    writer.close();

    const Fd ours(static_cast<int>(sys::open_peer_process(reader.get(), ::getpid())));
    CHECK(ours);
}

}  // namespace
