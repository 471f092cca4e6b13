// SPDX-License-Identifier: MIT

#pragma once

#include "measurement.hpp"

#include <cstddef>

#include <asio/awaitable.hpp>

namespace bench {

/// Yields until `batches` is full; each lap is `rounds` of its own yields. Then sets `finished`.
asio::awaitable<void> yield_and_measure(Batches& batches, std::size_t rounds, bool& finished);

/// Yields until `finished`.
asio::awaitable<void> yield_until(const bool& finished);

asio::awaitable<void> child();

}  // namespace bench
