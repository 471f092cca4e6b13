// SPDX-License-Identifier: MIT
//
// What a live server says about itself when it is asked: a fixed structure, sent as it is.
//
// Asking is a kind of hello. Whoever may open the name may ask; nothing is mapped, no client's place is taken, and the
// server's tasks are not involved. Sizes and counters only: no content.
#pragma once

#include "weir/core/name.hpp"
#include "weir/core/time.hpp"
#include "weir/ipc/names/name_list.hpp"
#include "weir/ipc/names/runtime_directory.hpp"

#include <array>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace weir::ipc {

/// What a peer did that is beyond its rights. It ends that peer's link, is counted and reported.
enum class LinkViolation : std::uint32_t {
    none = 0,
    packet = 1,       ///< sent a packet that means nothing, or not at that time
    descriptors = 2,  ///< sent descriptors
    rings = 3,        ///< went on ringing for nothing, however seldom it was heard
    region = 4,       ///< its region cannot be sealed, or is not what it was
    memory = 5,       ///< wrote values into its memory that are impossible
};
/// What it did, as the end of a sentence that begins with "it".
[[nodiscard]] std::string_view text(LinkViolation violation) noexcept;

/// One attached client. The link layer fills what the kernel and the link know, the object on top the rest.
struct LinkPeerStat {
    std::int32_t pid = 0;           ///< 0: in another pid namespace
    std::uint32_t uid = 0;          ///< effective, when it connected
    std::uint64_t attached_ns = 0;  ///< since when, on the monotonic clock
    std::uint64_t bells_rung = 0;   ///< by the server, at this client
    std::uint64_t bells_heard = 0;  ///< by the server, from this client
    std::uint64_t sleeps = 0;       ///< how often the client announced that it sleeps
    std::uint64_t fill = 0;         ///< what the client has not taken yet, in units of `depth`
    std::uint64_t records = 0;      ///< that the client took or brought since it attached
    std::uint64_t bytes = 0;        ///< in these records
};

struct LinkStat {
    static constexpr std::uint32_t version_now = 2;
    static constexpr std::size_t peers_max = 16;

    // --- filled by the link layer
    std::uint32_t version = version_now;
    std::uint32_t object = 0;       ///< LinkTerms::object
    std::int32_t pid = 0;           ///< the server's
    std::uint32_t uid = 0;          ///< effective
    std::uint64_t layout = 0;       ///< as in LinkTerms
    std::uint64_t record_size = 0;  ///< as in LinkTerms
    std::uint64_t depth = 0;        ///< as in LinkTerms
    std::uint64_t started_ns = 0;   ///< when it was created, on the monotonic clock
    std::uint64_t now_ns = 0;       ///< when this was filled, for rates
    std::uint64_t admitted = 0;     ///< clients that were ever attached
    std::uint64_t refused = 0;      ///< clients that were turned away, for whatever reason
    std::uint64_t denied = 0;       ///< of those, by LinkAdmission
    std::uint64_t over_cap = 0;     ///< of those, since their user had as many links or handshakes as it may
    std::uint64_t turned_out = 0;   ///< clients that did what is beyond their rights; the last of them:
    LinkViolation violation = LinkViolation::none;  ///< what it did
    std::int32_t violator_pid = 0;
    std::uint32_t violator_uid = 0;
    std::uint32_t reserved_word = 0;
    std::uint64_t violated_ns = 0;  ///< when, on the monotonic clock
    std::uint32_t peers = 0;        ///< attached now; those beyond peers_max are counted and not listed
    std::uint32_t pending = 0;      ///< in their handshake now
    // --- filled by the object on top
    std::uint64_t region_bytes = 0;  ///< of the server's region
    std::uint64_t records = 0;       ///< written or read since it was created
    std::uint64_t bytes = 0;         ///< in these records
    std::uint64_t sleeps = 0;        ///< how often this side announced that it sleeps
    std::uint64_t fill = 0;          ///< what nobody has taken yet, in units of `depth`
    std::array<std::uint64_t, 4> reserved{};

    std::array<LinkPeerStat, peers_max> peer{};
};

static_assert(std::is_trivially_copyable_v<LinkStat> && sizeof(LinkPeerStat) == 64 &&
              sizeof(LinkStat) == 200 + LinkStat::peers_max * 64);

/// Asks whoever serves `name`; also one whose link table is full answers. For tools: it blocks, for at most `patience`.
/// Errors: not_found, refused (a socket that a killed server left), denied, timed_out, busy (the server turned us away
/// again and again), mismatch (another version of the structure), too_large, no_files.
Result<LinkStat> ask_link_stat(const RuntimeDirectory& directory, const Name& name,
                               Duration patience) noexcept;

}  // namespace weir::ipc
