// SPDX-License-Identifier: MIT
//
// A client that speaks the protocol of links without weir behind it, so that it can say whatever a test wants.
#pragma once

#include <weir/sys/message.hpp>
#include <weir/weir.hpp>

#include "io/running.hpp"

#include "shm/protocol.hpp"

#include <array>
#include <string_view>
#include <tuple>

#include <sys/socket.h>
#include <sys/un.h>

namespace weir::test {

/// Connects to `path`; an empty descriptor if that failed.
inline Fd plain_client(std::string_view path) {
    Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) fd.close();
    return fd;
}

/// Sends what means nothing to a client, from the server's end of every connection to a name that this process serves.
inline void say_nonsense_to_clients() {
    for (int fd = 3; fd < 256; ++fd) {
        int type = 0;
        int listens = 0;
        socklen_t size = sizeof(int);
        if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) continue;
        if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens != 0) continue;
        sockaddr_un name{};
        size = sizeof(name);
        const bool named = ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0 &&
                           size > sizeof(name.sun_family);
        if (named) std::ignore = ::send(fd, "nonsense", 8, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

class ClientByHand {
public:
    explicit ClientByHand(std::string_view path) : socket(plain_client(path)) {}

    /// One packet, without waiting: its size, or -1.
    template <class T>
    long say(const T& packet) const noexcept {
        return ::send(socket.get(), &packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    /// One packet that is there: its size, 0 at the end, or -1.
    template <class T>
    long hear(T& packet) const noexcept {
        return ::recv(socket.get(), &packet, sizeof(packet), MSG_DONTWAIT);
    }
    /// Says hello and takes the answer.
    Task<> ask(Scheduler&, const ipc::LinkTerms& terms, ipc::BellKind bell) {
        const ipc::Hello hello{.bell = bell, .terms = terms};
        CHECK_IN_TASK(say(hello) == sizeof(hello));
        WEIR_CO_CHECK(readable(socket.get()));
        sys::DescriptorMessage message(&answer, sizeof(answer));
        message.make_room(descriptors.size());
        CHECK_IN_TASK(sys::receive_message(socket.get(), message.header()) == sizeof(answer));
        descriptors_count = message.take(descriptors);
    }
    /// Acknowledges, and waits until it is attached.
    Task<> acknowledge(Scheduler&) {
        CHECK_IN_TASK(say(ipc::Note{.kind = ipc::Note::Kind::mapped}) == sizeof(ipc::Note));
        WEIR_CO_CHECK(readable(socket.get()));
        ipc::Note note{};
        CHECK_IN_TASK(hear(note) == sizeof(note));
        CHECK_IN_TASK(note.kind == ipc::Note::Kind::attached);
    }
    Task<> attach(Scheduler& scheduler, const ipc::LinkTerms& terms, ipc::BellKind bell) {
        WEIR_CO_CHECK(ask(scheduler, terms, bell));
        CHECK_IN_TASK(answer.verdict == ipc::Verdict::yes);
        CHECK_IN_TASK(descriptors_count == ipc::descriptors_of(bell));
        WEIR_CO_CHECK(acknowledge(scheduler));
    }

    Fd socket;
    ipc::Answer answer{};
    std::array<Fd, ipc::answer_descriptors> descriptors;
    std::size_t descriptors_count = 0;
};

}  // namespace weir::test
