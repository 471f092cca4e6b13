// SPDX-License-Identifier: MIT
//
// Writing records to a pipe or socket that several tasks share.
//
// Each record goes out whole: at most 4,096 bytes, which a pipe takes in one piece or not at all, and one writer at a
// time. A task that is stopped while it waits for room has written nothing.
#pragma once

#include "wire.hpp"

#include <weir/weir.hpp>

#include <array>
#include <cstddef>

namespace leak {

/// A record as the bytes that travel.
class EncodedRecord {
public:
    explicit EncodedRecord(const Record& record) : size_(encode(record, bytes_)) {}
    weir::ConstBytes bytes() const { return std::span<const std::byte>{bytes_}.first(size_); }

private:
    std::array<std::byte, record_bytes_max> bytes_{};
    std::size_t size_;
};

/// To the supervisor, by standard output.
class Reporter {
public:
    /// Errors: wrong_kind, where standard output is no pipe.
    weir::Result<void> open();

    /// Suspends while the supervisor is behind. Errors: peer_lost, cancelled.
    weir::Task<> tell(weir::Scheduler& scheduler, Record record);
    weir::Task<> notice(weir::Scheduler& scheduler, Notice::Kind kind,
                        BoundedText<Notice::text_bytes_max> text);

private:
    weir::PipeWriter pipe_;
    weir::Mutex mutex_;
};

}  // namespace leak
