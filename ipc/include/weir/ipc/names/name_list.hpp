// SPDX-License-Identifier: MIT
//
// What is in a runtime directory, and what is served there.
//
//     WEIR_TRY(auto names, NameList::open(directory));
//     for (;;) {
//         const auto entry = names.next();
//         if (!entry && entry.error() == Errc::ended) break;
//         …
//     }
//
// Whether a name is served is asked of the kernel: a server that was killed leaves its socket's path, and nobody is
// behind it. The server itself is not asked and does not notice; ask_link_stat() makes it speak.
#pragma once

#include "weir/core/name.hpp"
#include "weir/core/result.hpp"
#include "weir/ipc/names/runtime_directory.hpp"
#include "weir/sys/fd.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <sys/types.h>
#include <utility>

namespace weir::ipc {

/// Whether somebody serves a name. Of a server that was killed with operations in flight the kernel may say `served` for
/// some milliseconds more, and for as long as a child that it forked holds its descriptors; NameWatch knows better.
enum class NameState : std::uint8_t {
    absent,  ///< there is no such name
    stale,   ///< nobody does: a killed server left it, or one is just beginning; the next one takes it over
    served,
    denied,  ///< we may not open it, nor know
};

/// What a file of a runtime directory is.
enum class NameKind : std::uint8_t {
    link,       ///< NAME.weir: the socket of a LinkServer, and so of a ring, a topic or a service
    ring,       ///< NAME.ring: a named ring, which nobody serves
    semaphore,  ///< NAME.sem: a SharedSemaphore, which nobody serves
};

/// The suffix of the sockets that LinkServer binds: DIRECTORY/NAME.weir, beside its lock, DIRECTORY/NAME.weir.lock.
inline constexpr std::string_view link_suffix = ".weir";
/// The suffix of the files of named rings, beside their bells, NAME.ring.items and NAME.ring.space.
inline constexpr std::string_view ring_suffix = ".ring";
/// The suffix of the FIFOs of named semaphores.
inline constexpr std::string_view semaphore_suffix = ".sem";

/// Looks whether `name` is served at this moment. Makes three system calls. Errors: too_large (the path), no_files.
Result<NameState> look_at_name(const RuntimeDirectory& directory, const Name& name) noexcept;

struct NameEntry {
    Name name;
    NameKind kind;
    NameState state;    ///< of what nobody serves always `served`
    std::uint32_t uid;  ///< whose its path is; of a name of which only the lock is left, whose that is
    std::uint32_t gid;
    mode_t mode;  ///< permission bits: who may write to it may open it
};

/// The names in a directory, each of them once, in no order. What comes or goes meanwhile may be among them or not; what
/// nobody could open under its path is not.
/// Move-only; holds a descriptor, and a kilobyte to read into: mind the frame.
class NameList {
public:
    /// Errors: not_found (there is no such directory), denied (we may not read it), no_files.
    static Result<NameList> open(const RuntimeDirectory& directory) noexcept;

    /// The next one. Makes a few system calls. Errors: ended (there are no more), no_files, no_memory.
    Result<NameEntry> next() noexcept;

private:
    NameList(const RuntimeDirectory& directory, Fd fd) noexcept : directory_(directory), fd_(std::move(fd)) {}
    Result<std::string_view> next_file() noexcept;

    RuntimeDirectory directory_;
    Fd fd_;
    alignas(8) std::array<std::byte, 1024> entries_{};
    std::size_t size_ = 0;
    std::size_t at_ = 0;
};

}  // namespace weir::ipc
