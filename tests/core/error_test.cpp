// SPDX-License-Identifier: MIT
#include <weir/core/error.hpp>

#include "support/catch.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <set>
#include <string>

using weir::Errc;
using weir::Error;

namespace {

constexpr auto last_code = static_cast<std::uint16_t>(Errc::system);

std::string message(const Error& error) {
    std::array<char, 256> buffer{};
    return std::string(error.message(buffer));
}

}  // namespace

TEST_CASE("every code has a text of its own") {
    std::set<std::string> texts;
    for (std::uint16_t code = 0; code <= last_code; ++code) {
        const std::string text(weir::text(static_cast<Errc>(code)));
        CHECK(!text.empty());
        CHECK(text != "unknown error");
        CHECK(texts.insert(text).second);
    }
    CHECK(weir::text(static_cast<Errc>(last_code + 1)) == "unknown error");
}

TEST_CASE("a message names the operation and what happened, for every code") {
    for (std::uint16_t code = 0; code <= last_code; ++code) {
        const auto errc = static_cast<Errc>(code);
        const std::string said = message({.code = errc, .operation = "pipe read"});
        CHECK(said.starts_with("pipe read: " + std::string(weir::text(errc))));
    }
    CHECK(message({.code = Errc::timed_out, .operation = "pipe read"}) == "pipe read: timed out");
}

TEST_CASE("a message without an operation is the text alone") {
    CHECK(message({.code = Errc::cancelled}) == "cancelled");
    CHECK(message({.code = Errc::cancelled, .operation = nullptr}) == "cancelled");
}

TEST_CASE("a message contains the numbers that its code gives a meaning") {
    CHECK(message({.code = Errc::no_frame, .operation = "task", .a = 16704, .b = 16384}) ==
          "task: no task frame is left (Budget::frame_bytes is 16384, it would take 16704)");
    CHECK(message({.code = Errc::no_stack, .operation = "task", .a = 70000, .b = 65536}) ==
          "task: too many awaits inside each other (Budget::stack_bytes is 65536, it would take 70000)");
    CHECK(message({.code = Errc::no_group_slot, .operation = "spawn", .b = 16}) ==
          "spawn: no group slot is left (limit 16)");
    CHECK(message({.code = Errc::no_descriptor, .operation = "accept", .b = 32}) ==
          "accept: the descriptor table is full (Budget::descriptors is 32)");
    CHECK(message({.code = Errc::no_place, .operation = "service call", .b = 16}) ==
          "service call: no place is left (limit 16)");
    CHECK(message({.code = Errc::rejected, .operation = "service call", .a = 7}) ==
          "service call: rejected by the server (status 7)");
    CHECK(message({.code = Errc::too_large, .operation = "name", .a = 65, .b = 64}) ==
          "name: too large (65, limit 64)");
    CHECK(message({.code = Errc::mismatch, .operation = "depth", .a = 8, .b = 4}) ==
          "depth: made differently (8 here, 4 there)");
    CHECK(message({.code = Errc::overflow, .operation = "line", .a = 1000, .b = 512}) ==
          "line: more arrived than fits (1000, limit 512)");
    CHECK(message({.code = Errc::in_use, .operation = "lock", .a = 4711}) ==
          "lock: already in use (by process 4711)");
    CHECK(message({.code = Errc::denied, .operation = "link open", .a = 1000}) ==
          "link open: permission denied (user 1000)");
    CHECK(message({.code = Errc::invalid, .operation = "depth", .a = 3}) == "depth: invalid argument (3)");
    CHECK(message({.code = Errc::stuck, .operation = "run_main", .a = 3}) ==
          "run_main: the stopped program does not end (3 tasks live)");
    CHECK(message({.code = Errc::too_large, .a = UINT64_MAX, .b = UINT64_MAX}) ==
          "too large (18446744073709551615, limit 18446744073709551615)");
}

TEST_CASE("a broken peer is told in words") {
    CHECK(message({.code = Errc::corrupt, .operation = "ring next"}) ==
          "ring next: the peer broke the shared memory");
}

TEST_CASE("numbers that are not known are left out") {
    CHECK(message({.code = Errc::in_use, .operation = "lock"}) == "lock: already in use");
    CHECK(message({.code = Errc::too_large, .operation = "send"}) == "send: too large");
    CHECK(message({.code = Errc::mismatch, .operation = "open"}) == "open: made differently");
    CHECK(message({.code = Errc::timed_out, .operation = "x", .a = 5, .b = 6}) == "x: timed out");
    // Bytes that had moved when the kernel refused.
    CHECK(message({.code = Errc::denied, .system_errno = EPERM, .operation = "write", .a = 5}) ==
          message({.code = Errc::denied, .system_errno = EPERM, .operation = "write"}));
}

TEST_CASE("a message ends with the errno where there is one") {
    const std::string said = message(Error::from_errno("open", EACCES));
    CHECK(said.starts_with("open: permission denied ["));
    CHECK(said.ends_with(", errno " + std::to_string(EACCES) + "]"));
}

TEST_CASE("a message is cut to the size of its buffer and always terminated") {
    const Error error{
        .code = Errc::no_frame, .system_errno = ENOMEM, .operation = "task", .a = 320, .b = 16384};
    const std::string whole = message(error);
    for (std::size_t size = 1; size <= whole.size() + 2; ++size) {
        std::string buffer(size + 1, '#');
        const std::string_view said = error.message({buffer.data(), size});
        REQUIRE(said == whole.substr(0, size - 1));
        REQUIRE(buffer[said.size()] == '\0');
        REQUIRE(buffer[size] == '#');
    }
    CHECK(error.message({}).empty());
}

TEST_CASE("an errno keeps its number and becomes one of weir's codes") {
    const std::pair<int, Errc> known[] = {
        {ECANCELED, Errc::cancelled},
        {ETIMEDOUT, Errc::peer_lost},
        {EPIPE, Errc::peer_lost},
        {ECONNRESET, Errc::peer_lost},
        {ECONNREFUSED, Errc::refused},
        {ENOENT, Errc::not_found},
        {ESRCH, Errc::not_found},
        {EADDRINUSE, Errc::in_use},
        {EEXIST, Errc::in_use},
        {EACCES, Errc::denied},
        {EPERM, Errc::denied},
        {EBUSY, Errc::busy},
        {EAGAIN, Errc::would_block},
        {EINVAL, Errc::invalid},
        {ENAMETOOLONG, Errc::too_large},
        {EMSGSIZE, Errc::too_large},
        {EMFILE, Errc::no_files},
        {ENFILE, Errc::no_files},
        {ENOMEM, Errc::no_memory},
        {ENOBUFS, Errc::no_memory},
        {ENXIO, Errc::no_reader},
        {ENOSYS, Errc::unsupported},
        {EBADF, Errc::closed},
        {EIO, Errc::system},
        {EDOM, Errc::system},
        {0, Errc::system},
    };
    for (const auto& [value, code] : known) {
        const Error error = Error::from_errno("call", value);
        INFO("errno " << value);
        CHECK(error == code);
        CHECK(error.system_errno == value);
        CHECK(std::string(error.operation) == "call");
    }
}

TEST_CASE("an error is small and trivially copyable") {
    CHECK(sizeof(Error) <= 32);
    CHECK(std::is_trivially_copyable_v<Error>);
}
