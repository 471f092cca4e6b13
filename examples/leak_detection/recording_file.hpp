// SPDX-License-Identifier: MIT
//
// A recording on disk, read sample by sample.
//
// It opens the file, tells what cannot be one (a directory, something unreadable) in the parser's own form of
// error, and reads it in pieces of `chunk_bytes`. Reading blocks, as files do; a process that must not wait
// for a disk calls next() on a worker thread, or reads the bytes by itself and feeds a RecordingParser.
#pragma once

#include "recording.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace leak {

class RecordingFile {
public:
    static constexpr std::size_t chunk_bytes = 16 * 1'024;

    /// Opens `path`. A failure is told by the first next().
    explicit RecordingFile(const char* path);
    /// A recording that is open already; `name` is for messages. The descriptor becomes this object's. Its file
    /// offset is neither used nor moved, so that several processes can share it.
    RecordingFile(int fd, std::string_view name);
    ~RecordingFile();
    RecordingFile(const RecordingFile&) = delete;
    RecordingFile& operator=(const RecordingFile&) = delete;

    /// `sample`, `end` or `failed`; after the last two it gives the same again.
    RecordingParser::Step next(Sample& sample);

    const RecordingParser& parser() const { return parser_; }
    /// The descriptor, still owned by this object; -1 where the file could not be opened.
    int fd() const { return fd_; }
    /// Fails unless the recording has labels. To be asked after the first sample.
    RecordingParser::Step require_labels() { return parser_.require_labels(); }
    std::string_view error() const { return parser_.error(); }

private:
    RecordingParser parser_;
    std::array<char, chunk_bytes> bytes_{};
    std::span<const char> unread_;
    std::uint64_t offset_ = 0;
    int fd_ = -1;
    bool at_end_ = false;
};

}  // namespace leak
