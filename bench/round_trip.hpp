// SPDX-License-Identifier: MIT
//
// Round trip: 64 bytes to another process and back.
//
// The parent asks, its child echoes, both on one core, one message in flight. A transport is the
// pair of descriptors between them; an approach is a way to wait for them (blocking calls, a loop
// by hand, Asio, weir). Both sides always take the same approach.

#pragma once

#include "measurement.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace bench {

inline constexpr std::size_t message_size = 64;
/// Larger than a message: a read that does not fill it has emptied the descriptor, so that an
/// edge-triggered loop need not read again.
using ReceiveBuffer = std::array<std::byte, 4 * message_size>;

enum class Transport { pipe, unix_stream };

/// One side's descriptors. For a stream socket both numbers are the same.
struct Ends {
    int read_fd;
    int write_fd;
};

struct Approach {
    /// Sends a message and receives its echo until `batches` is full.
    void (*ask)(Ends, Batches& batches);
    /// Sends back what arrives until the end of the stream.
    void (*echo)(Ends);
};

struct NamedApproach {
    std::string_view name;
    Approach (*on)(Transport);
};

/// The whole of `main`: `PROGRAM TRANSPORT-APPROACH ROUND_TRIPS`, for instance
/// `bench_round_trip unix-stream-plain 10000`.
int round_trip_main(std::span<char* const> arguments, std::span<const NamedApproach> approaches);

/// The approaches that need no library.
[[nodiscard]] Approach plain_calls(Transport);
[[nodiscard]] Approach epoll_loop(Transport);
[[nodiscard]] Approach uring_loop(Transport);

}  // namespace bench
