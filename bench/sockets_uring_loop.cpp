// SPDX-License-Identifier: MIT
//
// The io_uring loops by hand. In the first two the receive goes through the ring, which starts with the poll, for the
// socket is known to be empty; the send is a direct call, or goes through the ring, too. In the third, one lasting poll for
// each socket tells that a receive is due, which is then a direct call, as is the send. The last does all that io_uring
// offers: one lasting receive for each socket into buffers that the kernel takes from a ring of them, sends through the
// ring, registered files; the one call that waits is the only one.

#include "sockets.hpp"

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include <liburing.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr unsigned entries = 4'096;  // all connections in one call, with their sends

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
        wait_for_entries([&](const io_uring_cqe& cqe) {
            on_completion(static_cast<std::size_t>(cqe.user_data), cqe.res,
                          (cqe.flags & IORING_CQE_F_MORE) != 0);
        });
    }
    template <class F>
    void wait_for_entries(F&& on_entry) {
        const int status = io_uring_submit_and_wait(&ring_, 1);
        if (status < 0 && status != -EINTR) fail("io_uring_submit_and_wait");
        unsigned head = 0;
        unsigned count = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            ++count;
            on_entry(*cqe);
        }
        io_uring_cq_advance(&ring_, count);
    }

    io_uring* raw() { return &ring_; }

private:
    io_uring ring_{};
};

// Buffers from which the kernel takes one for each receive, and which are put back by their number.
class BufferRing {
public:
    static constexpr int group = 1;

    explicit BufferRing(io_uring* ring) : buffers_(count), shared_(aligned()) {
        if (shared_ == nullptr) fail("memory for a ring of buffers");
        io_uring_buf_ring_init(shared_.get());
        io_uring_buf_reg registration{};
        registration.ring_addr = reinterpret_cast<std::uintptr_t>(shared_.get());
        registration.ring_entries = count;
        registration.bgid = group;
        if (io_uring_register_buf_ring(ring, &registration, 0) != 0)
            skip("rings of buffers are not available here");
        for (unsigned i = 0; i < count; ++i) put_back(i);
        publish();
    }

    EchoBuffer& operator[](unsigned number) { return buffers_[number]; }
    void put_back(unsigned number) {
        io_uring_buf_ring_add(shared_.get(), buffers_[number].data(), echo_buffer_size,
                              static_cast<unsigned short>(number), io_uring_buf_ring_mask(count), added_++);
    }
    void publish() { io_uring_buf_ring_advance(shared_.get(), std::exchange(added_, 0)); }

private:
    static constexpr unsigned count = 2'048;  // more than connections
    static constexpr unsigned echo_buffer_size = sizeof(EchoBuffer);
    static constexpr std::size_t page_size = 4'096;
    static io_uring_buf_ring* aligned() {
        return static_cast<io_uring_buf_ring*>(std::aligned_alloc(page_size, count * sizeof(io_uring_buf)));
    }
    struct Free {
        void operator()(io_uring_buf_ring* memory) const { std::free(memory); }
    };

    std::vector<EchoBuffer> buffers_;
    std::unique_ptr<io_uring_buf_ring, Free> shared_;
    int added_ = 0;
};

void send_back(int socket, const EchoBuffer& buffer, int size) {
    if (send(socket, buffer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) != size) fail("send");
}

void begin_receive(Ring& ring, std::size_t index, int socket, EchoBuffer& buffer) {
    io_uring_sqe* const sqe = ring.entry(index);
    io_uring_prep_recv(sqe, socket, buffer.data(), buffer.size(), 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

}  // namespace

void serve_by_uring(std::span<const int> sockets) {
    Ring ring;
    std::vector<EchoBuffer> buffers(sockets.size());
    const auto receive = [&](std::size_t index) {
        begin_receive(ring, index, sockets[index], buffers[index]);
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

void serve_by_uring_sends(std::span<const int> sockets) {
    Ring ring;
    std::vector<EchoBuffer> buffers(sockets.size());
    const std::size_t sent = sockets.size();  // in user_data: a send, of the socket with the rest's number
    const auto receive = [&](std::size_t index) {
        begin_receive(ring, index, sockets[index], buffers[index]);
    };
    for (std::size_t i = 0; i < sockets.size(); ++i) receive(i);
    for (std::size_t open = sockets.size(); open > 0;) {
        ring.wait([&](std::size_t index, int result, bool) {
            if (result < 0) fail("receive or send");
            if (index >= sent) {
                receive(index - sent);
            } else if (result == 0) {
                --open;
            } else {
                io_uring_prep_send(ring.entry(sent + index), sockets[index], buffers[index].data(),
                                   static_cast<std::size_t>(result), MSG_NOSIGNAL);
            }
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

void serve_by_uring_whole(std::span<const int> sockets) {
    constexpr std::size_t sent = std::size_t{1}
                                 << 20;  // in user_data: a send, of the buffer with the rest's number
    Ring ring;
    BufferRing buffers(ring.raw());
    if (io_uring_register_files(ring.raw(), sockets.data(), static_cast<unsigned>(sockets.size())) != 0)
        fail("io_uring_register_files");
    const auto receive = [&](std::size_t index) {
        io_uring_sqe* const sqe = ring.entry(index);
        io_uring_prep_recv(sqe, static_cast<int>(index), nullptr, 0, 0);
        sqe->ioprio |= IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST;
        sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
        sqe->buf_group = BufferRing::group;
    };
    for (std::size_t i = 0; i < sockets.size(); ++i) receive(i);
    for (std::size_t open = sockets.size(); open > 0;) {
        ring.wait_for_entries([&](const io_uring_cqe& cqe) {
            const auto index = static_cast<std::size_t>(cqe.user_data);
            if (cqe.res < 0 && cqe.res != -ENOBUFS) fail("receive or send");
            if (index >= sent) {
                buffers.put_back(static_cast<unsigned>(index - sent));
                return;
            }
            if (cqe.res == 0) {
                --open;
                return;
            }
            if (cqe.res > 0) {
                const unsigned number = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
                io_uring_sqe* const sqe = ring.entry(sent + number);
                io_uring_prep_send(sqe, static_cast<int>(index), buffers[number].data(),
                                   static_cast<std::size_t>(cqe.res), MSG_NOSIGNAL);
                sqe->flags |= IOSQE_FIXED_FILE;
            }
            if ((cqe.flags & IORING_CQE_F_MORE) == 0) receive(index);
        });
        buffers.publish();
    }
}

}  // namespace bench
