// SPDX-License-Identifier: MIT
//
// The table below is the only place where an errno is given a meaning. What is not in it stays
// Errc::system with its errno, so nothing is lost in translation.
#include "weir/core/error.hpp"

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace weir {
namespace {

// strerror_r has two signatures; overloads choose the right reading of whichever the libc has.
[[maybe_unused]] const char* described(int status, const char* buffer) {
    return status == 0 ? buffer : "";
}
[[maybe_unused]] const char* described(const char* result, const char*) {
    return result;
}

class Line {
public:
    explicit Line(std::span<char> buffer) : buffer_(buffer) {}
    void add(std::string_view part) {
        if (buffer_.empty()) return;
        const std::size_t room = buffer_.size() - 1 - size_;
        const std::size_t taken = part.size() < room ? part.size() : room;
        std::memcpy(buffer_.data() + size_, part.data(), taken);
        size_ += taken;
        buffer_[size_] = '\0';
    }
    void add_number(const char* before, std::uint64_t number, const char* behind) {
        char text[96];
        const int size = std::snprintf(text, sizeof(text), "%s%" PRIu64 "%s", before, number, behind);
        add({text, static_cast<std::size_t>(size)});
    }
    std::string_view view() const { return {buffer_.data(), size_}; }

private:
    std::span<char> buffer_;
    std::size_t size_ = 0;
};

void add_numbers(Line& line, const Error& error) {
    switch (error.code) {
        case Errc::no_frame:
        case Errc::no_stack:
            line.add_number(
                error.code == Errc::no_frame ? " (Budget::frame_bytes is " : " (Budget::stack_bytes is ",
                error.b, "");
            line.add_number(", it would take ", error.a, ")");
            return;
        case Errc::too_large:
        case Errc::overflow:
            if (error.b == 0) return;
            line.add_number(" (", error.a, "");
            line.add_number(", limit ", error.b, ")");
            return;
        case Errc::mismatch:
            if (error.a == error.b) return;  // what differs is no number
            line.add_number(" (", error.a, " here");
            line.add_number(", ", error.b, " there)");
            return;
        case Errc::no_descriptor: line.add_number(" (Budget::descriptors is ", error.b, ")"); return;
        case Errc::no_group_slot: line.add_number(" (limit ", error.b, ")"); return;
        case Errc::no_link: line.add_number(" (Budget::links is ", error.b, ")"); return;
        case Errc::no_place: line.add_number(" (limit ", error.b, ")"); return;
        case Errc::rejected:
            if (error.a != 0) line.add_number(" (status ", error.a, ")");
            return;
        case Errc::stuck: line.add_number(" (", error.a, " tasks live)"); return;
        case Errc::in_use:
            if (error.a != 0) line.add_number(" (by process ", error.a, ")");
            return;
        case Errc::denied:
        case Errc::invalid:
            // With an errno they are the kernel's, and the number is of a transfer.
            if (error.system_errno != 0 || error.a == 0) return;
            line.add_number(error.code == Errc::denied ? " (user " : " (", error.a, ")");
            return;
        case Errc::cancelled:
        case Errc::timed_out:
        case Errc::ended:
        case Errc::peer_lost:
        case Errc::refused:
        case Errc::unreachable:
        case Errc::not_found:
        case Errc::busy:
        case Errc::would_block:
        case Errc::no_files:
        case Errc::no_memory:
        case Errc::no_reader:
        case Errc::wrong_kind:
        case Errc::not_pollable:
        case Errc::unsupported:
        case Errc::closed:
        case Errc::stalled:
        case Errc::corrupt:
        case Errc::system: return;
    }
}

Errc code_of(int value) noexcept {
    switch (value) {
        case ECANCELED: return Errc::cancelled;
        case EPIPE:
        case ECONNRESET:
        case ENOTCONN:   // it was, once
        case ETIMEDOUT:  // the peer's time to answer: weir's own deadlines never come as an errno
        case ECONNABORTED: return Errc::peer_lost;
        case ECONNREFUSED: return Errc::refused;
        case EHOSTUNREACH:
        case ENETUNREACH:
        case EHOSTDOWN:
        case ENETDOWN: return Errc::unreachable;
        case EADDRNOTAVAIL:
        case ENOENT:
        case ESRCH: return Errc::not_found;
        case EADDRINUSE:
        case EEXIST: return Errc::in_use;
        case EACCES:
        case EPERM: return Errc::denied;
        case EBUSY: return Errc::busy;
        case EAGAIN: return Errc::would_block;
        case EINVAL:
        case EISDIR:
        case EDESTADDRREQ:
        case EISCONN:
        case ENOTDIR: return Errc::invalid;
        case ENAMETOOLONG:
        case EMSGSIZE:
        case E2BIG: return Errc::too_large;
        case EMFILE:
        case ENFILE: return Errc::no_files;
        case ENOMEM:
        case ENOBUFS:
        case ENOSPC: return Errc::no_memory;
        case ENXIO: return Errc::no_reader;
        case EPROTOTYPE: return Errc::wrong_kind;
        case EAFNOSUPPORT:
        case ENOSYS:
        case EOPNOTSUPP: return Errc::unsupported;
        case EBADF: return Errc::closed;
        default: return Errc::system;
    }
}

}  // namespace

std::string_view text(Errc code) noexcept {
    switch (code) {
        case Errc::cancelled: return "cancelled";
        case Errc::timed_out: return "timed out";
        case Errc::ended: return "ended by the peer";
        case Errc::peer_lost: return "the peer was lost";
        case Errc::refused: return "nobody listens there";
        case Errc::unreachable: return "there is no way there";
        case Errc::not_found: return "not found";
        case Errc::in_use: return "already in use";
        case Errc::denied: return "permission denied";
        case Errc::busy: return "another task already waits here";
        case Errc::would_block: return "would block";
        case Errc::invalid: return "invalid argument";
        case Errc::too_large: return "too large";
        case Errc::no_frame: return "no task frame is left";
        case Errc::no_stack: return "too many awaits inside each other";
        case Errc::no_descriptor: return "the descriptor table is full";
        case Errc::no_group_slot: return "no group slot is left";
        case Errc::no_link: return "no link is left";
        case Errc::no_place: return "no place is left";
        case Errc::no_files: return "no file descriptor is left";
        case Errc::no_memory: return "the kernel has no memory left";
        case Errc::no_reader: return "nobody reads there";
        case Errc::wrong_kind: return "the descriptor is of another kind";
        case Errc::not_pollable: return "the kernel cannot wait on this descriptor";
        case Errc::unsupported: return "not supported here";
        case Errc::closed: return "closed";
        case Errc::stalled: return "nothing can wake the remaining tasks";
        case Errc::overflow: return "more arrived than fits";
        case Errc::mismatch: return "made differently";
        case Errc::corrupt: return "the peer broke the shared memory";
        case Errc::rejected: return "rejected by the server";
        case Errc::stuck: return "the stopped program does not end";
        case Errc::system: return "system error";
    }
    return "unknown error";
}

std::string_view Error::message(std::span<char> buffer) const noexcept {
    Line line(buffer);
    if (operation != nullptr && operation[0] != '\0') {
        line.add(operation);
        line.add(": ");
    }
    line.add(text(code));
    add_numbers(line, *this);
    if (system_errno != 0) {
        char text[128] = "";
        line.add(" [");
        line.add(described(::strerror_r(system_errno, text, sizeof(text)), text));
        line.add_number(", errno ", static_cast<std::uint64_t>(system_errno), "]");
    }
    return line.view();
}

Error Error::from_errno(const char* operation, int value) noexcept {
    return {.code = code_of(value), .system_errno = value, .operation = operation, .a = 0, .b = 0};
}

}  // namespace weir
