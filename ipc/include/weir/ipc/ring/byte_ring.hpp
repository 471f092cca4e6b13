// SPDX-License-Identifier: MIT
//
// Records of bytes, each of any length up to half the ring, from one process to another. Everything else is as with
// RingWriter and RingReader.
//
//     WEIR_CO_TRY(auto ring, ByteRingWriter::create(scheduler, "frames", {.bytes = 1 << 20}));
//     WEIR_CO_TRY(auto record, ring.reserve(1'500).within(1s));
//     const std::size_t size = fill(record.bytes());
//     record.commit(size);
#pragma once

#include "weir/ipc/ring/ring.hpp"

namespace weir::ipc {

struct ByteRingOptions {
    std::uint32_t bytes = 64 * 1024;  ///< of the ring, a power of two from 64 to 2^30
    LinkServerOptions link{};         ///< of the name: mode, owner, group, directory
};

/// A reserved record. Dropping it abandons it. Move-only; lives no longer than its writer, which must not move.
class [[nodiscard]] ByteSlot {
public:
    ByteSlot(RingWriterEnd& end, std::uint32_t size) noexcept;
    ByteSlot(ByteSlot&& other) noexcept : end_(std::exchange(other.end_, nullptr)), size_(other.size_) {}
    ByteSlot& operator=(ByteSlot&&) = delete;
    ~ByteSlot() { abandon(); }

    /// To be filled; 8-aligned.
    [[nodiscard]] Bytes bytes() const noexcept;
    /// Gives the first `size` bytes of it to the reader as one record, with all that was deferred before it.
    void commit(std::size_t size) noexcept;
    void commit() noexcept { commit(size_); }
    /// It is finished, and the reader gets it with the next commit, or when the writer has to wait.
    void defer(std::size_t size) noexcept;
    void defer() noexcept { defer(size_); }
    void abandon() noexcept;

private:
    RingWriterEnd* end_;
    std::uint32_t size_;
};

/// A record in place. Dropping it releases it. Move-only; lives no longer than its reader, which must not move.
class [[nodiscard]] ByteRecord : public RingItemBase {
public:
    ByteRecord(RingReaderEnd& end, ConstBytes bytes) noexcept : RingItemBase(end, 1), bytes_(bytes) {}
    /// 8-aligned. After defer() they stay until the next release or wait.
    [[nodiscard]] ConstBytes bytes() const noexcept { return bytes_; }

private:
    ConstBytes bytes_;
};

/// What ByteRingWriter::reserve() returns.
class [[nodiscard]] ReserveBytes : public Awaitable<ReserveBytes> {
public:
    using Outcome = Result<ByteSlot>;
    ReserveBytes(RingWriterEnd& end, std::size_t size) noexcept : end_(&end), size_(size) {}

    class Wait : public RingWait<RingWriterEnd> {
    public:
        explicit Wait(ReserveBytes&& reserve) noexcept;
        bool start(const Start& start) noexcept { return error_ || RingWait<RingWriterEnd>::start(start); }
        Result<ByteSlot> take() noexcept;

    private:
        static constexpr Pending::Kind kind{RingWriterEnd::waiting_for, nullptr};
        std::uint32_t size_;
    };

private:
    RingWriterEnd* end_;
    std::size_t size_;
};

/// What ByteRingReader::next() returns.
class [[nodiscard]] NextBytes : public Awaitable<NextBytes> {
public:
    using Outcome = Result<ByteRecord>;
    explicit NextBytes(RingReaderEnd& end) noexcept : end_(&end) {}

    class Wait : public RingWait<RingReaderEnd> {
    public:
        explicit Wait(NextBytes&& next) noexcept : RingWait<RingReaderEnd>(kind, *next.end_, 1) {}
        Result<ByteRecord> take() noexcept;

    private:
        static constexpr Pending::Kind kind{RingReaderEnd::waiting_for, nullptr};
    };

private:
    RingReaderEnd* end_;
};

class ByteRingWriter {
public:
    ByteRingWriter() noexcept = default;
    /// As RingWriter<T>::create.
    static Result<ByteRingWriter> create(Scheduler& scheduler, const RingName& name,
                                         const ByteRingOptions& options = {}) noexcept;

    /// Waits for room for a record of `size` bytes. Errors: too_large (beyond record_size_max()), and those of
    /// RingWriter<T>::reserve.
    [[nodiscard]] ReserveBytes reserve(std::size_t size) noexcept { return ReserveBytes(end_, size); }
    void commit() noexcept { end_.flush(); }
    /// As RingWriter<T>::close.
    [[nodiscard]] RingDrain close() noexcept { return RingDrain(end_); }

    [[nodiscard]] std::size_t record_size_max() const noexcept {
        return ring::record_size_max(end_.machine.capacity());
    }
    [[nodiscard]] bool has_reader() const noexcept { return end_.has_reader(); }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return end_.sleeps(); }

private:
    RingWriterEnd end_;
};

class ByteRingReader {
public:
    ByteRingReader() noexcept = default;

    /// What open() returns.
    class Open;
    /// As RingReader<T>::open.
    [[nodiscard]] static Open open(Scheduler& scheduler, const RingName& name,
                                   const LinkOpenOptions& options = {}) noexcept;

    /// As RingReader<T>::next; the bytes are valid until the record is released.
    [[nodiscard]] NextBytes next() noexcept { return NextBytes(end_); }
    void release() noexcept { end_.flush(); }
    void close() noexcept { end_.shut(); }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return end_.sleeps(); }

private:
    RingReaderEnd end_;
};

class [[nodiscard]] ByteRingReader::Open : public Awaitable<Open> {
public:
    using Outcome = Result<ByteRingReader>;
    explicit Open(const OpenLink& link) noexcept : link_(link) {}
    class Wait : public OpenLink::Wait {
    public:
        explicit Wait(Open&& open) noexcept : OpenLink::Wait(OpenLink(open.link_)) {}
        Result<ByteRingReader> take() noexcept;
    };

private:
    OpenLink link_;
};

}  // namespace weir::ipc
