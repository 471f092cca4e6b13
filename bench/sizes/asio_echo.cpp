// SPDX-License-Identifier: MIT
//
// examples/pipe_echo.cpp as one writes it with Asio: for tools/sizes.
#include <array>
#include <asio.hpp>
#include <unistd.h>

namespace {

asio::awaitable<void> echo(asio::posix::stream_descriptor input, asio::posix::stream_descriptor output) {
    std::array<char, 512> buffer;
    for (;;) {
        const auto size = co_await input.async_read_some(asio::buffer(buffer), asio::use_awaitable);
        co_await asio::async_write(output, asio::buffer(buffer.data(), size), asio::use_awaitable);
    }
}

}  // namespace

int main() {
    asio::io_context context(1);
    asio::co_spawn(context,
                   echo(asio::posix::stream_descriptor(context, STDIN_FILENO),
                        asio::posix::stream_descriptor(context, STDOUT_FILENO)),
                   asio::detached);
    context.run();
}
