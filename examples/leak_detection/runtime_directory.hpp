// SPDX-License-Identifier: MIT
//
// Where the sockets, the FIFO and the detector's state lie while the system runs.
//
// $WEIR_RUNTIME_DIR/leak_detection if that variable is set, else a fresh directory /tmp/weir-leak-XXXXXX. It is private
// (0700) and belongs to the user that the other processes run as.
//
// Where each runs as a user of its own, it belongs to the alarm server's, which is the last to leave and then removes
// it, and to the group that acquisition and detector share; its mode is 1771. So acquisition and detector, and nobody
// else, reach what has that group, and cannot remove each other's; all others can reach only what lets them in.
//
// One system at a time uses it: the directory itself is locked, which is safe because nobody else can open it. The
// supervisor hands the locked descriptor to acquisition, detector and alarm server, so the lock is free only when the
// last of them has ended: the next supervisor waits for what a killed one left running, then removes what it left lying.
#pragma once

#include "bounded_text.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <sys/types.h>

namespace leak {

/// Whom the other processes run as.
struct RunAs {
    bool changes = false;  // we are root, and they are somebody else
    uid_t user = 0;
    gid_t group = 0;
};

using RuntimeError = BoundedText<400>;

struct Users {
    bool apart = false;  // each has its own
    RunAs acquisition;   // and its sensors
    RunAs detector;
    RunAs alarm_server;
    RunAs logger;
};

inline constexpr std::uint32_t user_base_default = 61'000;  // Linux systems commonly leave these unassigned

/// Reads `--user` and `--user-base`. Root without `--user` gives four users in a row, none of whom needs to be in the
/// user database. Without privileges it gives ourselves, whatever is asked for by name must be ourselves too. Gives an
/// empty text, or what is wrong.
RuntimeError choose_users(const char* name, std::optional<std::uint32_t> base, Users& users);

/// Whether the other processes' user can execute `program`, which lies in `directory`; the directory's own parents do
/// not matter. Gives an empty text, or what is wrong.
RuntimeError check_program(const char* directory, const char* program, const RunAs& run_as);

class RuntimeDirectory {
public:
    RuntimeDirectory() = default;
    RuntimeDirectory(const RuntimeDirectory&) = delete;
    RuntimeDirectory& operator=(const RuntimeDirectory&) = delete;
    ~RuntimeDirectory() { remove(); }

    /// Makes it, takes the lock, and removes what was left. Waits up to two seconds for the lock. Gives an empty text, or
    /// what is wrong.
    RuntimeError open(const Users& users);

    /// Removes what lies there, and the directory if we made it.
    void remove();

    const char* path() const { return path_; }
    /// The descriptor that holds the lock.
    int lock() const { return lock_; }

private:
    RuntimeError choose_path(const Users& users);
    RuntimeError take_lock(const Users& users);

    char path_[128] = "";
    char base_[128] = "";  // made by us too, if not empty
    int lock_ = -1;
};

}  // namespace leak
