// SPDX-License-Identifier: MIT
//
// FIFOs: named pipes, whose writers come and go.
#pragma once

#include "weir/io/transfer.hpp"
#include "weir/sys/path.hpp"

#include <cstdint>
#include <string_view>
#include <sys/types.h>

namespace weir {

/// How a FIFO is made and kept.
struct FifoOptions {
    mode_t mode = 0600;       ///< of the path, exactly, whatever the umask
    std::int64_t owner = -1;  ///< uid of the path; -1: as it comes
    std::int64_t group = -1;  ///< gid of the path; -1: as it comes
    /// Hold a writing end too, so that the stream does not end when the last writer goes: the next writer's bytes
    /// simply follow. Without it each read after the last writer left gives an empty span until another comes.
    bool keep_open = true;
    bool remove = true;  ///< remove the path when the reader closes
};

/// The reading end, which makes the path.
class FifoReader : public Handle {
public:
    FifoReader() noexcept = default;
    FifoReader(FifoReader&&) noexcept = default;
    FifoReader& operator=(FifoReader&& other) noexcept;
    ~FifoReader() { close(); }

    /// Makes a FIFO at `path`, or takes over one that is there and belongs to us or to root, after setting its
    /// owner and mode. Errors: in_use (something that is no FIFO, or somebody else's), denied, not_found (no such
    /// directory), too_large (path), invalid (a path that is empty or has a zero in it). There is no lock: a second reader
    /// of the path is not turned away.
    static Result<FifoReader> create(std::string_view path, const FifoOptions& options = {}) noexcept;
    /// Takes over the reading end of a FIFO or pipe. Errors: wrong_kind, closed.
    static Result<FifoReader> adopt(int fd) noexcept;

    /// At least one byte. Before the first writer has come it waits; once writers have come and all have gone it
    /// gives an empty span (not with keep_open). Errors: busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] Read read(Bytes buffer) noexcept;
    /// The whole buffer. Besides: ended (not with keep_open) if the writers go before, with the bytes that came in
    /// Error::a.
    [[nodiscard]] ReadExactly read_exactly(Bytes buffer) noexcept;

    void close() noexcept;
    /// Gives the reading end to the caller; the path stays, and the writing end held with keep_open is closed.
    [[nodiscard]] int release() noexcept;

private:
    Fd kept_open_;
    BoundedPath path_;
    bool removes_ = false;
};

class OpenFifo;

/// The writing end of a FIFO that somebody reads.
class FifoWriter : public Handle {
public:
    FifoWriter() noexcept = default;
    explicit FifoWriter(Fd fd) noexcept : Handle(std::move(fd)) {}

    /// Opens `path`; while it does not exist or nobody reads it, tries again until the deadline. Errors: wrong_kind
    /// (no FIFO), denied, too_large, invalid (path), cancelled, timed_out.
    [[nodiscard]] static OpenFifo open(std::string_view path) noexcept;
    /// Takes over the writing end of a FIFO or pipe. Errors: wrong_kind, closed.
    static Result<FifoWriter> adopt(int fd) noexcept;

    /// Up to PIPE_BUF (4,096) bytes arrive in one piece among those of other writers, or wait. Errors: peer_lost
    /// (nobody reads any more), busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] Write write(ConstBytes bytes) noexcept;
    /// All bytes; after an error Error::a says how many were written. Errors as write().
    [[nodiscard]] WriteAll write_all(ConstBytes bytes) noexcept;
};

/// What FifoWriter::open returns. Keeps its own copy of the path.
class [[nodiscard]] OpenFifo : public Awaitable<OpenFifo> {
public:
    using Outcome = Result<FifoWriter>;
    explicit OpenFifo(std::string_view path) noexcept : path_(path) {}

    class Wait : public PausingWait {
    public:
        explicit Wait(OpenFifo&& open) noexcept;
        bool start(const Start& start) noexcept;
        Result<FifoWriter> take() noexcept;

    private:
        static constexpr Pending::Kind kind{"fifo open", &visit_fd};
        static bool retry(PausingWait& self) noexcept;
        bool open_once() noexcept;
        void pause_longer() noexcept;

        BoundedPath path_;
        Fd fd_;
        Duration pause_;
    };

private:
    BoundedPath path_;
};

}  // namespace weir
