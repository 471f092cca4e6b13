// SPDX-License-Identifier: MIT
//
// The best epoll loop by hand: epoll_wait, receive, send. Three system calls per message, one
// descriptor, no timers, no errors handled.

#include "round_trip_endpoint.hpp"

#include <fcntl.h>
#include <sys/epoll.h>

namespace bench {

namespace {

template <class Calls>
class EpollEndpoint {
public:
    explicit EpollEndpoint(Ends ends) : ends_(ends), epoll_fd_(epoll_create1(EPOLL_CLOEXEC)) {
        if (fcntl(ends.read_fd, F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
        if (fcntl(ends.write_fd, F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
        epoll_event interest{};
        interest.events = EPOLLIN | EPOLLET;
        interest.data.fd = ends.read_fd;
        if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, ends.read_fd, &interest) != 0) fail("epoll_ctl");
    }
    ~EpollEndpoint() { close(epoll_fd_); }
    EpollEndpoint(const EpollEndpoint&) = delete;
    EpollEndpoint& operator=(const EpollEndpoint&) = delete;

    bool receive(ReceiveBuffer& buffer) {
        epoll_event event{};
        if (epoll_wait(epoll_fd_, &event, 1, -1) != 1) fail("epoll_wait");
        return is_message(Calls::receive(event.data.fd, buffer));
    }
    void send(Message message) { check_sent(Calls::send(ends_.write_fd, message)); }

private:
    Ends ends_;
    int epoll_fd_;
};

}  // namespace

Approach epoll_loop(Transport transport) {
    return approach_on<EpollEndpoint>(transport);
}

}  // namespace bench
