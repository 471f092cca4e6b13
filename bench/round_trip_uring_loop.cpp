// SPDX-License-Identifier: MIT
//
// The best io_uring loop by hand: the receive goes through the ring, in the one call that also
// waits; the send is a direct call, for it never has to wait. Two system calls per message.

#include "round_trip_endpoint.hpp"

#include <cerrno>

#include <liburing.h>

namespace bench {

namespace {

void prepare_receive(io_uring_sqe* sqe, PipeCalls, int fd, ReceiveBuffer& buffer) {
    io_uring_prep_read(sqe, fd, buffer.data(), static_cast<unsigned>(buffer.size()), 0);
}

void prepare_receive(io_uring_sqe* sqe, StreamCalls, int fd, ReceiveBuffer& buffer) {
    io_uring_prep_recv(sqe, fd, buffer.data(), buffer.size(), 0);
}

template <class Calls>
class UringEndpoint {
public:
    explicit UringEndpoint(Ends ends) : ends_(ends) {
        constexpr unsigned entries = 8;
        const int result =
            io_uring_queue_init(entries, &ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
        if (result != 0) skip("io_uring with deferred task work is not available here");
        io_uring_register_ring_fd(&ring_);  // saves a look-up per call; a refusal does no harm
    }
    ~UringEndpoint() { io_uring_queue_exit(&ring_); }
    UringEndpoint(const UringEndpoint&) = delete;
    UringEndpoint& operator=(const UringEndpoint&) = delete;

    bool receive(ReceiveBuffer& buffer) {
        prepare_receive(io_uring_get_sqe(&ring_), Calls{}, ends_.read_fd, buffer);
        if (io_uring_submit_and_wait(&ring_, 1) < 0) fail("io_uring_submit_and_wait");
        io_uring_cqe* cqe = nullptr;
        if (io_uring_peek_cqe(&ring_, &cqe) != 0) fail("io_uring_peek_cqe");
        const int result = cqe->res;
        io_uring_cqe_seen(&ring_, cqe);
        if (result < 0) errno = -result;
        return is_message(result);
    }
    void send(Message message) { check_sent(Calls::send(ends_.write_fd, message)); }

private:
    Ends ends_;
    io_uring ring_{};
};

}  // namespace

Approach uring_loop(Transport transport) {
    return approach_on<UringEndpoint>(transport);
}

}  // namespace bench
