// SPDX-License-Identifier: MIT
//
// Errors as values.
//
// One vocabulary for the whole library: an Errc says what happened in weir's words, whatever the kernel
// object or backend. The errno is kept for those who want to know; no caller needs it to decide. Two 64-bit
// values carry what the code needs to be understood (a limit, a size, a pid): their meaning is fixed by the
// code and stated beside it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weir {

/// What happened. `a` and `b` are those of Error; where nothing is said they are 0, but for transfers: the errors of
/// read_exactly and write_all have in `a` the bytes that had moved.
enum class Errc : std::uint16_t {
    cancelled,    ///< the task was asked to stop
    timed_out,    ///< the deadline given to this very await passed
    ended,        ///< the peer ended in good order, all it sent is delivered; a = bytes that came
    peer_lost,    ///< the peer went away without a word (reset, broken pipe, killed)
    refused,      ///< nobody listens there
    unreachable,  ///< no way there: no route, the network or host is down, or nobody answered
    not_found,    ///< no such file, name, process or local address
    in_use,       ///< another process holds it; a = its pid where it is known
    denied,       ///< permissions forbid it; a = the user in the way, where no errno says so
    busy,         ///< another task already waits on this direction of the object
    would_block,  ///< it cannot be done now, and waiting was not asked for
    invalid,      ///< an argument makes no sense; a = what it was, where it is a number
    too_large,    ///< a = size asked for, b = limit
    no_frame,  ///< the frame pool has no room; a = what Budget::frame_bytes would have to be, b = what it is
    no_stack,  ///< awaits are nested too deeply; a = bytes of stack that this one would take, b = Budget::stack_bytes
    no_descriptor,  ///< the descriptor table is full; b = Budget::descriptors
    no_group_slot,  ///< the group is full; b = its slots
    no_link,        ///< the link table is full; b = Budget::links
    no_place,       ///< all places of something bounded are taken: clients, calls; b = how many there are
    no_files,       ///< the process or the system has no file descriptor left
    no_memory,      ///< the kernel has no memory for it; a = bytes asked for, of shared or private memory
    no_reader,      ///< a FIFO that nobody reads
    wrong_kind,     ///< the adopted descriptor is of another kind
    not_pollable,   ///< the kernel cannot wait on this descriptor (a regular file)
    unsupported,    ///< this kernel, or this process's sandbox, does not offer it
    closed,         ///< the handle or channel was closed
    stalled,        ///< nothing can ever wake the remaining tasks (simulated backend)
    overflow,       ///< more arrived than a bounded place can hold; a = size, b = limit
    mismatch,       ///< what is there was made differently; a = ours, b = theirs, equal where it is no number
    corrupt,        ///< the peer wrote into shared memory what it must not
    rejected,       ///< the server of a call said no; a = the status that it gave, 0 if it let the call drop
    stuck,          ///< a stopped program did not end within Budget::grace_ms; a = live tasks
    system,         ///< any other errno
};

/// The fixed English text of a code, e.g. "timed out".
[[nodiscard]] std::string_view text(Errc code) noexcept;

/// What went wrong, where, and the numbers that explain it. 32 bytes, trivially copyable, no heap.
struct Error {
    Errc code = Errc::system;
    std::int32_t system_errno = 0;  ///< errno, or 0 where no system call was involved
    const char* operation = "";     ///< static name of what was tried, e.g. "pipe read"
    std::uint64_t a = 0;            ///< meaning fixed by `code`
    std::uint64_t b = 0;            ///< meaning fixed by `code`

    /// Writes a sentence such as "pipe read: timed out" or "spawn: no group slot is left (limit 16)" into
    /// `buffer`, cut to its size, always terminated; returns what was written.
    std::string_view message(std::span<char> buffer) const noexcept;

    /// Translates an errno (positive) into weir's vocabulary.
    [[nodiscard]] static Error from_errno(const char* operation, int value) noexcept;

    friend bool operator==(const Error& error, Errc wanted) noexcept { return error.code == wanted; }
};

}  // namespace weir
