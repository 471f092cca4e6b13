// SPDX-License-Identifier: MIT
//
// Who is behind the path of a name.
#pragma once

#include "weir/core/result.hpp"
#include "weir/ipc/names/name_list.hpp"
#include "weir/ipc/names/runtime_directory.hpp"
#include "weir/sys/fd.hpp"

#include <cstdint>

namespace weir::ipc {

/// As look_at_name(), of a path.
Result<NameState> look_at_path(const RuntimePath& path) noexcept;

struct ServedName {
    NameState state = NameState::absent;
    std::int32_t pid = 0;   ///< of whoever listens there; 0: not known
    std::uint32_t uid = 0;  ///< valid where pid is, or where the process is
    Fd process;             ///< its pidfd; empty where the kernel or a pid namespace gives none
};
/// The same, and who it is. A socket whose process has ended is stale, whoever keeps it open. For this a connection is
/// made and dropped, which wakes the server; one that has no time for it is `served` by nobody known. Errors: no_files.
Result<ServedName> who_serves(const RuntimePath& path) noexcept;

/// Tells one socket at a path from another one that is bound there later; 0 where there is none.
std::uint64_t mark_of(const char* path) noexcept;

}  // namespace weir::ipc
