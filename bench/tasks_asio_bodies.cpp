// SPDX-License-Identifier: MIT

#include "tasks_asio_bodies.hpp"

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

namespace bench {

asio::awaitable<void> yield_and_measure(Batches& batches, std::size_t rounds, bool& finished) {
    batches.start();
    do {
        for (std::size_t i = 0; i < rounds; ++i) co_await asio::post(asio::use_awaitable);
    } while (batches.lap());
    finished = true;
}

asio::awaitable<void> yield_until(const bool& finished) {
    while (!finished) co_await asio::post(asio::use_awaitable);
}

asio::awaitable<void> child() {
    co_return;
}

}  // namespace bench
