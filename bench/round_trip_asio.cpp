// SPDX-License-Identifier: MIT
//
// Asio: awaitable coroutines on one thread, built twice: with its epoll reactor, which is its
// default, and with io_uring (ASIO_HAS_IO_URING, ASIO_DISABLE_EPOLL).

#include "round_trip.hpp"

#include <exception>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/use_awaitable.hpp>

namespace bench {

namespace {

class PipeChannel {
public:
    PipeChannel(asio::io_context& context, Ends ends)
        : read_end_(context, ends.read_fd), write_end_(context, ends.write_fd) {}

    auto& source() { return read_end_; }
    auto& sink() { return write_end_; }

private:
    asio::posix::stream_descriptor read_end_;
    asio::posix::stream_descriptor write_end_;
};

class StreamChannel {
public:
    StreamChannel(asio::io_context& context, Ends ends)
        : socket_(context, asio::local::stream_protocol{}, ends.read_fd) {}

    auto& source() { return socket_; }
    auto& sink() { return socket_; }

private:
    asio::local::stream_protocol::socket socket_;
};

// One read_some and one write_some per message, like the loops by hand: the composed async_read
// and async_write would cost Asio another coroutine frame each.

template <class Channel>
asio::awaitable<void> ask(Channel channel, Batches& batches) {
    ReceiveBuffer buffer{};
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            co_await channel.sink().async_write_some(asio::buffer(buffer.data(), message_size),
                                                     asio::use_awaitable);
            co_await channel.source().async_read_some(asio::buffer(buffer), asio::use_awaitable);
        }
    } while (batches.lap());
}

template <class Channel>
asio::awaitable<void> echo(Channel channel) {
    ReceiveBuffer buffer{};
    for (;;) {
        const std::size_t size =
            co_await channel.source().async_read_some(asio::buffer(buffer), asio::use_awaitable);
        co_await channel.sink().async_write_some(asio::buffer(buffer.data(), size), asio::use_awaitable);
    }
}

constexpr int one_thread = 1;  // lets Asio leave out the wake-up of other threads

void pass_on(const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
}

template <class Channel>
void ask_on(Ends ends, Batches& batches) {
    asio::io_context context(one_thread);
    asio::co_spawn(context, ask(Channel(context, ends), batches), pass_on);
    context.run();
}

template <class Channel>
void echo_on(Ends ends) {
    asio::io_context context(one_thread);
    asio::co_spawn(context, echo(Channel(context, ends)), pass_on);
    try {
        context.run();
    } catch (const asio::system_error& error) {
        if (error.code() != asio::error::eof) throw;
    }
}

Approach with_asio(Transport transport) {
    if (transport == Transport::pipe) return {ask_on<PipeChannel>, echo_on<PipeChannel>};
    return {ask_on<StreamChannel>, echo_on<StreamChannel>};
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    constexpr std::array approaches{bench::NamedApproach{"asio", bench::with_asio}};
    return bench::round_trip_main(std::span(argv, static_cast<std::size_t>(argc)), approaches);
}
