// SPDX-License-Identifier: MIT
//
// A service as a user would write it, to be stopped and starved at every point: a listener, a session for each client in
// a group, requests with deadlines, work under a mutex in a task of its own, a journal behind a channel and an eventfd,
// and a goodbye under a shield.
//
// A request is a byte n and n bytes; the answer is 'A', n and the bytes plus one each. Whatever ends a session, the
// client is told: 'B', or 'E' after an error, and how many answers it got; then the stream ends.
#pragma once

#include <weir/weir.hpp>

#include "probe.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace weir::test {

struct EchoService {
    static constexpr std::size_t sessions_max = 4;

    explicit EchoService(std::string_view at) noexcept : path(at) {}

    Probe probe;
    std::string_view path;
    Event up;    ///< it listens
    Event quit;  ///< it shall stop
    Mutex mutex;
    Channel<std::uint32_t, 2> journal;
    EventFd written;

    // The books.
    std::uint32_t requests = 0;    ///< read whole
    std::uint32_t answered = 0;    ///< written whole
    std::uint32_t unanswered = 0;  ///< given up, which the session's error says
    std::uint32_t journal_sent = 0;
    std::uint32_t journal_kept = 0;
    std::uint32_t sessions = 0;
    std::uint32_t frames_refused = 0;
    std::uint32_t other_errors = 0;

    void note(const Error& error) noexcept {
        if (error == Errc::no_frame)
            ++frames_refused;
        else if (error != Errc::cancelled)
            ++other_errors;
    }
};

/// Serves until it fails or is stopped.
[[nodiscard]] Task<> serve_echo(Scheduler& scheduler, EchoService& service);

/// What one client saw.
struct EchoClient {
    static constexpr std::uint32_t requests = 3;

    std::uint32_t number = 0;
    std::array<std::byte, 256> answers{};  ///< the answers' bytes, one after the other
    std::size_t answers_size = 0;
    std::uint32_t answered = 0;
    std::uint32_t wrong = 0;  ///< bytes that are not what they should be
    bool told = false;        ///< a goodbye, an error, or the end of the stream
    bool unheard = false;     ///< waited in vain
    std::uint32_t goodbye_count = ~0U;
};

/// Asks its requests one after the other, and reads what follows to the end. One frame, taken when it is called.
[[nodiscard]] Task<> ask_echo(Scheduler& scheduler, EchoService& service, EchoClient& client);

}  // namespace weir::test
