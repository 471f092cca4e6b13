// SPDX-License-Identifier: MIT
//
// The two io_uring loops by hand that come first: the receive goes through the ring, which starts with the poll, for
// the socket is known to be empty; or one lasting poll for each socket tells that a receive is due, which is then a
// direct call. Sends are direct calls in both.

#include "sockets.hpp"

#include <cerrno>
#include <vector>

#include <liburing.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr unsigned entries = 1'024;  // all connections in one call

class Ring {
public:
    Ring() {
        const int result =
            io_uring_queue_init(entries, &ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
        if (result != 0) skip("io_uring with deferred task work is not available here");
        io_uring_register_ring_fd(&ring_);  // saves a look-up per call; a refusal does no harm
    }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    ~Ring() { io_uring_queue_exit(&ring_); }

    io_uring_sqe* entry(std::size_t index) {
        io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
        if (sqe == nullptr) fail("a full submission queue");
        sqe->user_data = index;
        return sqe;
    }

    // Calls `on_completion(index, result, more)` for everything that is done.
    template <class F>
    void wait(F&& on_completion) {
        const int status = io_uring_submit_and_wait(&ring_, 1);
        if (status < 0 && status != -EINTR) fail("io_uring_submit_and_wait");
        unsigned head = 0;
        unsigned count = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            ++count;
            on_completion(static_cast<std::size_t>(cqe->user_data), cqe->res,
                          (cqe->flags & IORING_CQE_F_MORE) != 0);
        }
        io_uring_cq_advance(&ring_, count);
    }

private:
    io_uring ring_{};
};

void send_back(int socket, const EchoBuffer& buffer, int size) {
    if (send(socket, buffer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) fail("send");
}

}  // namespace

void serve_by_uring(std::span<const int> sockets) {
    Ring ring;
    std::vector<EchoBuffer> buffers(sockets.size());
    const auto receive = [&](std::size_t index) {
        io_uring_sqe* const sqe = ring.entry(index);
        io_uring_prep_recv(sqe, sockets[index], buffers[index].data(), buffers[index].size(), 0);
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    };
    for (std::size_t i = 0; i < sockets.size(); ++i) receive(i);
    for (std::size_t open = sockets.size(); open > 0;) {
        ring.wait([&](std::size_t index, int result, bool) {
            if (result < 0) fail("receive");
            if (result == 0) {
                close(sockets[index]);
                --open;
                return;
            }
            send_back(sockets[index], buffers[index], result);
            receive(index);
        });
    }
}

void serve_by_uring_polls(std::span<const int> sockets) {
    Ring ring;
    EchoBuffer buffer{};
    const auto poll = [&](std::size_t index) {
        io_uring_prep_poll_multishot(ring.entry(index), sockets[index], POLLIN | EPOLLET);
    };
    for (std::size_t i = 0; i < sockets.size(); ++i) poll(i);
    for (std::size_t open = sockets.size(); open > 0;) {
        ring.wait([&](std::size_t index, int result, bool more) {
            if (result < 0) fail("poll");
            const ssize_t size = recv(sockets[index], buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (size > 0) {
                send_back(sockets[index], buffer, static_cast<int>(size));
                if (!more) poll(index);
            } else if (size == 0) {
                --open;
            } else if (errno != EAGAIN) {
                fail("receive");
            }
        });
    }
}

}  // namespace bench
