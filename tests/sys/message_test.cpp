// SPDX-License-Identifier: MIT
#include <weir/sys/message.hpp>

#include "sys/calls.hpp"

#include "support/catch.hpp"
#include "support/cut_descriptors.hpp"
#include "support/skip.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

using namespace weir;
using sys::DescriptorMessage;
using sys::PlainMessage;
using weir::test::kernel_tells_of_cut_descriptors;
using weir::test::skip;

struct Ends {
    explicit Ends(int type) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0);  // blocking
        one = Fd(ends[0]);
        other = Fd(ends[1]);
    }
    Fd one;
    Fd other;
};

bool same_file(int left, int right) {
    struct stat a {};
    struct stat b {};
    return ::fstat(left, &a) == 0 && ::fstat(right, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}
long send_with(const Fd& fd, std::string_view text, std::span<const int> descriptors) {
    DescriptorMessage message(text.data(), text.size());
    message.attach(descriptors);
    return sys::send_message(fd.get(), message.header());
}

TEST_CASE("descriptors travel with the bytes, close-on-exec, as many as there is room for") {
    const Ends pipe(SOCK_STREAM);
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
        const Ends ends(type);
        for (std::size_t count = 0; count <= sys::message_descriptors_max; ++count) {
            std::array<int, sys::message_descriptors_max> sent;
            for (std::size_t i = 0; i < count; ++i) sent[i] = i % 2 == 0 ? pipe.one.get() : pipe.other.get();
            REQUIRE(send_with(ends.one, "hello", std::span(sent).first(count)) == 5);
            std::array<char, 8> buffer{};
            std::array<Fd, sys::message_descriptors_max> received;
            DescriptorMessage message(buffer.data(), buffer.size());
            message.make_room(count);
            REQUIRE(sys::receive_message(ends.other.get(), message.header()) == 5);
            CHECK_FALSE(message.bytes_cut());
            CHECK_FALSE(message.descriptors_cut());
            CHECK(std::string_view(buffer.data(), 5) == "hello");
            REQUIRE(message.take(received) == count);
            for (std::size_t i = 0; i < count; ++i) {
                CHECK(same_file(received[i].get(), sent[i]));
                CHECK(::fcntl(received[i].get(), F_GETFD) == FD_CLOEXEC);
            }
        }
    }
}

TEST_CASE("descriptors without room are closed, and the message says that some were") {
    if (!kernel_tells_of_cut_descriptors())
        skip("recvmsg does not tell that descriptors were cut (an emulator)");
    const Ends pipe(SOCK_STREAM);
    const std::array<int, 3> sent{pipe.one.get(), pipe.other.get(), pipe.one.get()};
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        const Ends ends(type);
        for (std::size_t room = 0; room < sent.size(); ++room) {
            REQUIRE(send_with(ends.one, "x", sent) == 1);
            char byte = 0;
            std::array<Fd, 3> received;
            DescriptorMessage message(&byte, 1);
            message.make_room(room);
            REQUIRE(sys::receive_message(ends.other.get(), message.header()) == 1);
            CHECK(message.descriptors_cut());
            CHECK(message.take(received) == room);
        }
    }
    // What is taken into too small a place is closed, not lost: the next descriptor is the lowest free one.
    const Ends ends(SOCK_SEQPACKET);
    REQUIRE(send_with(ends.one, "x", sent) == 1);
    char byte = 0;
    DescriptorMessage message(&byte, 1);
    message.make_room(3);
    const int lowest = Fd(::dup(0)).get();
    REQUIRE(sys::receive_message(ends.other.get(), message.header()) == 1);
    CHECK_FALSE(message.descriptors_cut());
    CHECK(message.take({}) == 0);
    CHECK(Fd(::dup(0)).get() == lowest);
}

TEST_CASE("a message that does not fit tells its whole size, on every message socket") {
    for (const int type : {SOCK_SEQPACKET, SOCK_DGRAM}) {
        const Ends ends(type);
        REQUIRE(::send(ends.one.get(), "0123456789", 10, 0) == 10);
        std::array<char, 4> buffer{};
        PlainMessage message(buffer.data(), buffer.size());
        CHECK(sys::receive_message(ends.other.get(), message.header()) == 10);
        CHECK(message.bytes_cut());
        CHECK(std::string_view(buffer.data(), 4) == "0123");
    }
    // A stream has no messages: the rest stays.
    const Ends ends(SOCK_STREAM);
    REQUIRE(::send(ends.one.get(), "0123456789", 10, 0) == 10);
    std::array<char, 4> buffer{};
    PlainMessage message(buffer.data(), buffer.size());
    CHECK(sys::receive_message(ends.other.get(), message.header()) == 4);
    CHECK_FALSE(message.bytes_cut());
    CHECK(sys::receive(ends.other.get(), buffer.data(), 4) == 4);
    CHECK(std::string_view(buffer.data(), 4) == "4567");
}

TEST_CASE("messages never wait and never raise SIGPIPE, whatever the descriptor's mode") {
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        Ends ends(type);
        std::array<char, 512> buffer{};
        PlainMessage message(buffer.data(), buffer.size());
        CHECK(sys::receive_message(ends.one.get(), message.header()) == -EAGAIN);
        while (sys::send_message(ends.one.get(), message.header()) > 0) {}
        CHECK(sys::send_message(ends.one.get(), message.header()) == -EAGAIN);
        ends.other.close();
        const auto before = ::signal(SIGPIPE, SIG_DFL);
        // Its messages were unread: the kernel calls that a reset once.
        const long first = sys::send_message(ends.one.get(), message.header());
        CHECK((first == -EPIPE || first == -ECONNRESET));
        CHECK(sys::send_message(ends.one.get(), message.header()) == -EPIPE);
        ::signal(SIGPIPE, before);
    }
}

TEST_CASE("the credentials of a peer are the process that made the pair") {
    const Ends ends(SOCK_SEQPACKET);
    ucred peer{};
    REQUIRE(sys::peer_credentials(ends.one.get(), peer) == 0);
    CHECK(peer.pid == ::getpid());
    CHECK(peer.uid == ::geteuid());
    CHECK(peer.gid == ::getegid());
    CHECK(sys::peer_credentials(-1, peer) == -EBADF);
}

}  // namespace
