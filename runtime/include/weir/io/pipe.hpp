// SPDX-License-Identifier: MIT
//
// Anonymous pipes, and the ends of any pipe.
#pragma once

#include "weir/io/transfer.hpp"

namespace weir {

/// The reading end of a pipe. Move-only. Reading takes no frame; it suspends while the pipe is empty.
class PipeReader : public Handle {
public:
    PipeReader() noexcept = default;
    explicit PipeReader(Fd fd) noexcept : Handle(std::move(fd)) {}

    /// Takes over the reading end of a pipe or FIFO, e.g. standard input. Errors: wrong_kind, closed.
    static Result<PipeReader> adopt(int fd) noexcept;

    /// At least one byte, or an empty span at the end of the stream. Errors: busy (another task reads), cancelled,
    /// timed_out, no_descriptor. The buffer lives until the await ends.
    [[nodiscard]] Read read(Bytes buffer) noexcept;
    /// The whole buffer. Besides: ended if the stream ends before, with the bytes that came in Error::a.
    [[nodiscard]] ReadExactly read_exactly(Bytes buffer) noexcept;
};

/// The writing end of a pipe.
class PipeWriter : public Handle {
public:
    PipeWriter() noexcept = default;
    explicit PipeWriter(Fd fd) noexcept : Handle(std::move(fd)) {}

    /// Takes over the writing end of a pipe or FIFO, e.g. standard output. Errors: wrong_kind, closed.
    static Result<PipeWriter> adopt(int fd) noexcept;

    /// As many bytes as fit, at least one; the count is the value. Up to PIPE_BUF (4,096) bytes go whole or wait.
    /// Errors: peer_lost (nobody reads any more), busy, cancelled, timed_out, no_descriptor.
    [[nodiscard]] Write write(ConstBytes bytes) noexcept;
    /// All bytes; after an error Error::a says how many were written. Errors as write(). No bytes: succeeds at once.
    [[nodiscard]] WriteAll write_all(ConstBytes bytes) noexcept;
};

/// Both ends of a pipe.
struct Pipe {
    PipeReader reader;
    PipeWriter writer;

    /// A new pipe, close-on-exec. Errors: no_files, no_memory.
    static Result<Pipe> create() noexcept;
};

}  // namespace weir
