// SPDX-License-Identifier: MIT
//
// The file of a named ring: made whole, opened by one writer and one reader, removed.
//
//     DIRECTORY/NAME.ring          what both sides share: the records, and each side's words
//     DIRECTORY/NAME.ring.items    the bell that the reader hears, a FIFO
//     DIRECTORY/NAME.ring.space    the bell that the writer hears
//     DIRECTORY/NAME.ring.lock     while it is made or removed
//     DIRECTORY/NAME.rin~          one that is just being made, or whose maker was killed at that moment
//
// Each side is locked by whoever has it (an open-file-description lock on one byte of the file), and the kernel lets go
// when that process ends, however it ends. All else that has to be known lies in the file, so there is nothing to be
// repaired: whoever comes next goes on where the cursors say.
#pragma once

#include "weir/ipc/names/runtime_directory.hpp"
#include "weir/ipc/ring/holder.hpp"
#include "weir/ipc/ring/ring_end.hpp"
#include "weir/ipc/shm/region.hpp"
#include "weir/sys/fd.hpp"

#include <cstdint>
#include <sys/types.h>

namespace weir::ipc {

/// How a named ring is made by whoever opens it first, and who is trusted to have made it.
struct NamedRingAccess {
    mode_t mode = 0600;       ///< of its file and its bells, exactly; both sides need to read and write
    std::int64_t owner = -1;  ///< uid; -1: as it comes. Besides us and root, whose rings are opened
    std::int64_t group = -1;  ///< gid; -1: as it comes
    const RuntimeDirectory* directory = nullptr;  ///< null: RuntimeDirectory::find(), made if it is not there
};

enum class RingSide : std::uint8_t { writer, reader };

/// What a side has stored, seen from outside.
struct NamedRingSide {
    bool held = false;             ///< a process has it now
    std::uint32_t pid = 0;         ///< the one that took it last; 0: none yet. In its own pid namespace
    std::uint32_t generation = 0;  ///< how often it was taken
    std::uint32_t cursor = 0;
    std::uint32_t epoch = 0;  ///< odd: it sleeps, or was killed while it did
};

struct NamedRingStat {
    std::uint64_t record_size = 0;  ///< 0: records of any size
    std::uint64_t layout = 0;
    std::uint64_t file_size = 0;
    std::uint32_t units = 0;  ///< slots, or bytes of records
    std::uint32_t uid = 0;    ///< whose file it is
    NamedRingSide writer;
    NamedRingSide reader;

    /// What the reader has not released, in units.
    [[nodiscard]] std::uint32_t fill() const noexcept { return writer.cursor - reader.cursor; }
};

/// One side of an open ring, with its lock. Move-only; lets go of all of it when it dies, and the ring stays.
class NamedRingFile {
public:
    using SharedWords = ring::Words<ring::MachineAtomics>;

    NamedRingFile() noexcept = default;

    /// Takes one side of the ring at `name`, which is made if it is not there and `shape` says how large (units of 0:
    /// whatever there is). Errors: see NamedRingWriter::open().
    static Result<NamedRingFile> open(const Name& name, const RingShape& shape, RingSide side,
                                      const NamedRingAccess& access) noexcept;
    /// Removes a ring that nobody has open, and what a killed maker left of one. Errors: not_found, in_use (by whom),
    /// denied, too_large (path), no_files.
    static Result<void> remove(const RuntimeDirectory& directory, const Name& name) noexcept;
    /// Looks at one without taking anything of it. Errors: not_found, denied, wrong_kind, corrupt, mismatch (of another
    /// version), too_large (path), no_files.
    static Result<NamedRingStat> look(const RuntimeDirectory& directory, const Name& name) noexcept;

    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(file_); }
    [[nodiscard]] std::uint32_t units() const noexcept { return units_; }
    [[nodiscard]] std::byte* data() const noexcept;
    [[nodiscard]] SharedWords& own() const noexcept;
    [[nodiscard]] const SharedWords& peer() const noexcept;
    /// How often this side was taken before; 0 when it is closed.
    [[nodiscard]] std::uint32_t generation() const noexcept;
    /// Whether a process has the other side. Makes a system call.
    [[nodiscard]] bool has_peer() const noexcept;
    /// The reading end of the bell that this side hears, once.
    [[nodiscard]] Fd take_bell() noexcept { return std::move(heard_); }
    /// Rings the peer. One write(2); never blocks or fails, and is remembered if the peer is not listening.
    void ring() const noexcept;
    /// Another writing end of the own bell: while it is open, the bell has no end. Errors: no_files, corrupt (the bell
    /// is not there any more).
    Result<Fd> hold_bell() const noexcept;
    void close() noexcept;

private:
    Result<void> open_bells(const RuntimePath& path, RingSide side) noexcept;
    Result<void> take(RingSide side) noexcept;
    [[nodiscard]] SharedWords& words(RingSide side) const noexcept;

    Fd file_;
    Fd heard_;
    Fd rung_;
    Mapping mapping_;
    RuntimePath bell_;  // the own one
    std::uint32_t units_ = 0;
    RingSide side_ = RingSide::writer;
};

}  // namespace weir::ipc
