// SPDX-License-Identifier: MIT
//
// Rings that outlive both sides, between processes that trust each other.
//
//     WEIR_CO_TRY(auto ring, NamedRingWriter<Reading>::open(scheduler, "log/readings", {.slots = 1024}));
//     WEIR_CO_TRY(auto slot, ring.reserve().within(1s));
//     *slot = {…};
//     slot.commit();
//
//     WEIR_CO_TRY(auto ring, NamedRingReader<Reading>::open(scheduler, "log/readings", {.slots = 1024}));
//     WEIR_CO_TRY(auto reading, ring.next());
//
// The ring is a file in a runtime directory. Whoever opens it first makes it; it is there until it is removed, with all
// that was committed and not released. One process at a time writes, one reads, and either may end, be killed and come
// again: a record that was committed is delivered at least once, in order and whole, and comes again only if its reader
// had not released it.
//
// A file, and not memory that dies with its last user: it is as lasting as its file system while the machine runs. Of an
// earlier start of the machine it is refused, since pages may have been written back in any order.
#pragma once

#include "weir/ipc/ring/byte_ring.hpp"
#include "weir/ipc/ring/named_ring_end.hpp"
#include "weir/ipc/ring/ring.hpp"

namespace weir::ipc {

struct NamedRingOptions {
    std::uint32_t slots = 64;  ///< records that fit, a power of two; 0: as many as the ring that is there has
    NamedRingAccess access{};  ///< mode, owner, group, directory
};
struct NamedByteRingOptions {
    std::uint32_t bytes = 64 * 1024;  ///< a power of two from 64 to 2^30; 0: as many as the ring has
    NamedRingAccess access{};
};

/// Waits until everything was taken.
class [[nodiscard]] NamedRingDrain : public Awaitable<NamedRingDrain> {
public:
    using Outcome = Result<void>;
    explicit NamedRingDrain(NamedRingWriterEnd& end) noexcept : end_(&end) {}

    class Wait : public RingWait<NamedRingWriterEnd> {
    public:
        explicit Wait(NamedRingDrain&& drain) noexcept
            : RingWait<NamedRingWriterEnd>(kind, *drain.end_, drain.end_->machine.capacity()) {}
        Result<void> take() noexcept {
            if (!arrived()) return failed();
            return {};
        }

    private:
        static constexpr Pending::Kind kind{"named ring drain", nullptr};
    };

private:
    NamedRingWriterEnd* end_;
};

/// The writing side of a named ring of T. Move-only, while no slot of it is in use and nobody waits; belongs to one
/// scheduler's thread. Takes one slot of the link table.
template <RingRecord T>
class NamedRingWriter : public RingWriting<T, NamedRingWriterEnd> {
public:
    NamedRingWriter() noexcept = default;

    /// Takes the writing side, and makes the ring if it is not there. Does not wait for a reader. Errors: in_use (the pid
    /// of the process that writes), mismatch (what is there has another type, depth or size of its file, is of another
    /// version, or was made before the machine started), corrupt (its head or its cursors are damaged, it has holes, or
    /// its bells are missing), wrong_kind (something else lies there), denied (permissions; or another user made it,
    /// whose uid is in Error::a), invalid (slots not a power of two), too_large (beyond 1 GiB; RLIMIT_FSIZE; the path),
    /// not_found (slots of 0 and no ring; no directory), no_memory (the file system is full), no_files, no_link.
    static Result<NamedRingWriter> open(Scheduler& scheduler, const RingName& name,
                                        const NamedRingOptions& options = {}) noexcept {
        NamedRingWriter writer;
        const auto opened =
            writer.end_.attach(scheduler, name, ring_shape_of<T>(options.slots), options.access);
        if (!opened) return failure(opened.error());
        return writer;
    }
    /// Waits until the reader has released everything; the ring stays open. Errors: those of reserve().
    [[nodiscard]] NamedRingDrain drained() noexcept { return NamedRingDrain(this->end_); }
    /// Gives the side to the next writer, at once. The ring stays, with what was committed.
    void close() noexcept { this->end_.shut(); }

    /// A process has the other side. Makes a system call.
    [[nodiscard]] bool has_reader() const noexcept {
        return this->end_.open() && this->end_.file().has_peer();
    }
    /// How often the side was taken before, since the ring was made.
    [[nodiscard]] std::uint32_t generation() const noexcept { return this->end_.file().generation(); }
    /// How many records were committed since the ring was made, by us and all before us, modulo 2^32: where a successor
    /// goes on.
    [[nodiscard]] std::uint32_t position() const noexcept { return this->end_.machine.cursor(); }
};

/// The reading side of a named ring of T. Move-only, while no record of it is in use and nobody waits; belongs to one
/// scheduler's thread. Takes one slot of the link table. It has no end: next() waits for whatever writer comes.
template <RingRecord T>
class NamedRingReader : public RingReading<T, NamedRingReaderEnd> {
public:
    NamedRingReader() noexcept = default;

    /// Takes the reading side, and makes the ring if it is not there. Begins with the first record that was not
    /// released. Errors: as NamedRingWriter::open().
    static Result<NamedRingReader> open(Scheduler& scheduler, const RingName& name,
                                        const NamedRingOptions& options = {}) noexcept {
        NamedRingReader reader;
        const auto opened =
            reader.end_.attach(scheduler, name, ring_shape_of<T>(options.slots), options.access);
        if (!opened) return failure(opened.error());
        return reader;
    }
    [[nodiscard]] bool has_writer() const noexcept {
        return this->end_.open() && this->end_.file().has_peer();
    }
    [[nodiscard]] std::uint32_t generation() const noexcept { return this->end_.file().generation(); }
    /// How many records were released since the ring was made, by us and all before us, modulo 2^32: the number of the
    /// one that comes next after an open().
    [[nodiscard]] std::uint32_t position() const noexcept { return this->end_.machine.cursor(); }
};

/// The same for records of bytes.
class NamedByteRingWriter : public ByteRingWriting<NamedRingWriterEnd> {
public:
    NamedByteRingWriter() noexcept = default;
    /// As NamedRingWriter::open.
    static Result<NamedByteRingWriter> open(Scheduler& scheduler, const RingName& name,
                                            const NamedByteRingOptions& options = {}) noexcept;
    [[nodiscard]] NamedRingDrain drained() noexcept { return NamedRingDrain(end_); }
    void close() noexcept { end_.shut(); }
    [[nodiscard]] bool has_reader() const noexcept { return end_.open() && end_.file().has_peer(); }
    [[nodiscard]] std::uint32_t generation() const noexcept { return end_.file().generation(); }
    /// As NamedRingWriter::position, in bytes of the ring.
    [[nodiscard]] std::uint32_t position() const noexcept { return end_.machine.cursor(); }
};

class NamedByteRingReader : public ByteRingReading<NamedRingReaderEnd> {
public:
    NamedByteRingReader() noexcept = default;
    /// As NamedRingReader::open.
    static Result<NamedByteRingReader> open(Scheduler& scheduler, const RingName& name,
                                            const NamedByteRingOptions& options = {}) noexcept;
    [[nodiscard]] bool has_writer() const noexcept { return end_.open() && end_.file().has_peer(); }
    [[nodiscard]] std::uint32_t generation() const noexcept { return end_.file().generation(); }
    /// As NamedRingReader::position, in bytes of the ring.
    [[nodiscard]] std::uint32_t position() const noexcept { return end_.machine.cursor(); }
};

/// Removes a named ring that nobody has open, with all that is in it. Errors: not_found, in_use (the pid of a process that
/// has it open), denied, too_large (path), no_files.
inline Result<void> remove_named_ring(const RuntimeDirectory& directory, const RingName& name) noexcept {
    return NamedRingFile::remove(directory, name);
}
/// Looks at a named ring from outside; takes nothing of it. Errors: see NamedRingFile::look().
inline Result<NamedRingStat> named_ring_stat(const RuntimeDirectory& directory,
                                             const RingName& name) noexcept {
    return NamedRingFile::look(directory, name);
}

}  // namespace weir::ipc
