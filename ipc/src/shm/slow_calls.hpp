// SPDX-License-Identifier: MIT
//
// Calls that a stranger can make last as long as it likes, made where they keep nobody else waiting.
//
// One is the close of a socket in which a stranger's descriptors may lie: the kernel closes those with it, and the last
// close of a TCP socket that lingers takes as long as its owner chose. (From Linux 6.16 on they are kept out.) The other
// is sealing a stranger's region, which has to wait for a write(2) into it that is under way, and that one for the memory
// that it reads from.
//
// Two threads make them, for all servers of the process. While one of them makes a call for a user, the other makes none
// for the same. So who makes calls last waits for them itself, and other users have the other thread.
//
// A request owns its descriptors: whoever made it has given them away. So the threads share nothing with a server but
// the places of the requests, and a server that is gone is not missed.
#pragma once

#include "weir/core/result.hpp"
#include "weir/sys/fd.hpp"

#include <cstddef>
#include <cstdint>

namespace weir::ipc {

class SlowCalls {
public:
    /// What is added to the eventfd of a seal().
    enum class Verdict : std::uint64_t { sealed = 1, refused = 2 };

    /// Starts the threads unless they run. They are there until end() was called as often as begin() and share() were,
    /// and what was asked for by then is done. Only this allocates: the C library, for a thread. Error: no_memory.
    static Result<void> begin() noexcept;
    /// One more, while another is there.
    static void share() noexcept;
    static void end() noexcept;

    /// Hangs up, and has a connection or a listener of `uid` closed. False: too many are waiting. It stays open then for as
    /// long as the process lives, since nobody here could close it.
    [[nodiscard]] static bool close(std::uint32_t uid, Fd socket) noexcept;
    /// Has a region of `uid`, of `size` bytes, sealed and looked at, and then adds a Verdict to `done`, an eventfd. False:
    /// too many are waiting.
    [[nodiscard]] static bool seal(std::uint32_t uid, Fd region, std::size_t size, Fd done) noexcept;
    /// Whether so many wait that no new connection should be taken: one could be had to be closed.
    [[nodiscard]] static bool crowded() noexcept;
};

}  // namespace weir::ipc
