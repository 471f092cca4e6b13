// SPDX-License-Identifier: MIT
//
// What server and client say to each other over the attach socket. Every message is one packet of fixed size.
//
//     client                       server
//       Hello                 ->
//                             <-     Answer, with descriptors if it is a yes: of two regions, and two bells where both
//                                    sides want eventfds; or a LinkStat
//       Note{mapped}          ->
//                             <-     Note{attached}
//       one byte             <->     a ring, where the bells are packets
//       Note{goodbye}        <->     either side, when it closes in good order
//
// The first four words of Hello and Answer, and `a` and `b`, stay where they are in every version, so that two that do
// not understand each other can say so.
#pragma once

#include "weir/ipc/shm/link.hpp"

#include <cstdint>
#include <type_traits>

namespace weir::ipc {

inline constexpr std::uint32_t protocol_magic = 0x7269'6577;  // "weir"
inline constexpr std::uint32_t protocol_version = 2;

enum class Request : std::uint32_t { attach = 1, stat = 2 };

struct Hello {
    std::uint32_t magic = protocol_magic;
    std::uint32_t protocol = protocol_version;
    Request request = Request::attach;
    BellKind bell = BellKind::eventfd;  ///< what the client wants; packet is what it gets otherwise
    LinkTerms terms{};
};

/// Numbers of our own: those of Errc are not for other processes.
enum class Verdict : std::uint32_t {
    yes = 0,
    refused = 1,
    in_use = 2,  ///< a = pid
    no_link = 3,
    no_files = 4,
    no_memory = 5,
    denied = 6,
    no_place = 7,  ///< b = how many there are
    // Mismatches; a = the client's, b = the server's.
    protocol = 16,
    bell = 17,
    object = 18,
    version = 19,
    layout = 20,
    record_size = 21,
    depth = 22,
};

struct Answer {
    std::uint32_t magic = protocol_magic;
    std::uint32_t protocol = protocol_version;
    Verdict verdict = Verdict::yes;
    BellKind bell = BellKind::packet;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    LinkTerms terms{};              ///< the server's
    std::uint64_t server_size = 0;  ///< bytes of the server's region
    std::uint64_t client_size = 0;
};

/// Which descriptor of an Answer is what.
enum AnswerDescriptor : unsigned {
    server_region,
    client_region,
    server_bell,  ///< the one that the server hears
    client_bell,
    answer_descriptors,
};
[[nodiscard]] constexpr std::size_t descriptors_of(BellKind bell) noexcept {
    return bell == BellKind::eventfd ? answer_descriptors : server_bell;
}

struct Note {
    enum class Kind : std::uint32_t { mapped = 1, attached = 2, goodbye = 3 };
    std::uint32_t magic = protocol_magic;
    Kind kind = Kind::goodbye;
};

/// A packet of one byte.
inline constexpr char ring_packet = 'r';

static_assert(sizeof(LinkTerms) == 32 && sizeof(Hello) == 48 && sizeof(Answer) == 80 && sizeof(Note) == 8);
static_assert(std::is_trivially_copyable_v<Hello> && std::is_trivially_copyable_v<Answer>);

}  // namespace weir::ipc
