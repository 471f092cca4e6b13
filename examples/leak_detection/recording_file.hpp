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
    ~RecordingFile();
    RecordingFile(const RecordingFile&) = delete;
    RecordingFile& operator=(const RecordingFile&) = delete;

    /// `sample`, `end` or `failed`; after the last two it gives the same again.
    RecordingParser::Step next(Sample& sample);

    const RecordingParser& parser() const { return parser_; }
    std::string_view error() const { return parser_.error(); }

private:
    RecordingParser parser_;
    std::array<char, chunk_bytes> bytes_{};
    std::span<const char> unread_;
    int fd_ = -1;
    bool at_end_ = false;
};

}  // namespace leak
