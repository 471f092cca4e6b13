// SPDX-License-Identifier: MIT
//
// What lies in a runtime directory.
#pragma once

#include <weir/ipc.hpp>
#include <weir/ipc/shm/link_stat.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir::tool {

/// A name, and what its server says, or what became of it.
struct NameFound {
    enum class State : std::uint8_t {
        live,    ///< its server answered; of a named ring: a process has it open
        idle,    ///< a named ring that nobody has open
        stale,   ///< nobody holds its lock: a killed server left it, and the next one takes it over
        silent,  ///< somebody holds its lock and does not answer: it starts, is stopped, or hangs
        denied,  ///< we may not ask
        busy,    ///< its server turned us away, for others
        absent,  ///< there is no such name
        other,   ///< its server answered in a way that we do not understand, or a named ring is damaged
    };
    std::string name;
    State state = State::stale;
    std::int64_t pid = 0;  ///< 0: not known
    std::uint32_t uid = 0;
    ipc::LinkStat stat{};                    ///< of a live server
    std::optional<ipc::NamedRingStat> ring;  ///< of a named ring that could be looked at
    bool named_ring = false;
    std::string error;  ///< why not, of any other
};

[[nodiscard]] const char* text(NameFound::State state) noexcept;
/// What is attached, from LinkTerms::object: its four letters, made small, or a number.
[[nodiscard]] std::string kind_of(std::uint32_t object);

/// Looks at the named ring `name`.
[[nodiscard]] NameFound look_at_ring(const ipc::RuntimeDirectory& directory, const Name& name);
/// Asks whoever serves `name`, for at most a second.
[[nodiscard]] NameFound look_up(const ipc::RuntimeDirectory& directory, const Name& name);
/// Every served name and named ring in the directory, in the order of the alphabet. Errors: not_found, denied, no_files.
[[nodiscard]] Result<std::vector<NameFound>> look_around(const ipc::RuntimeDirectory& directory);

}  // namespace weir::tool
