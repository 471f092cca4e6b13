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
#include "weir/ipc/shm/peer_memory.hpp"

namespace weir::ipc {

struct ByteRingOptions {
    std::uint32_t bytes = 64 * 1024;  ///< of the ring, a power of two from 64 to 2^30
    LinkServerOptions link{};         ///< of the name: mode, owner, group, directory
};

/// The layout of a ring of records of bytes.
[[nodiscard]] constexpr RingShape byte_ring_shape(std::uint32_t bytes) noexcept {
    return {.units = bytes, .unit_bytes = 1, .record_size = 0, .layout = sizeof(ring::RecordHeader)};
}

/// A reserved record. Dropping it abandons it. Move-only; lives no longer than its writer, which must not move.
template <class End>
class [[nodiscard]] BasicByteSlot {
public:
    BasicByteSlot(End& end, std::uint32_t size) noexcept : end_(&end), size_(size) { end.set_in_use(true); }
    BasicByteSlot(BasicByteSlot&& other) noexcept
        : end_(std::exchange(other.end_, nullptr)), size_(other.size_) {}
    BasicByteSlot& operator=(BasicByteSlot&&) = delete;
    ~BasicByteSlot() { abandon(); }

    /// To be filled; 8-aligned.
    [[nodiscard]] Bytes bytes() const noexcept {
        return {end_->data() + end_->machine.payload_offset(size_), size_};
    }
    /// Gives the first `size` bytes of it to the reader as one record, with all that was deferred before it.
    void commit(std::size_t size) noexcept {
        End* const end = end_;
        defer(size);
        end->publish();
    }
    void commit() noexcept { commit(size_); }
    /// It is finished, and the reader gets it with the next commit, or when the writer has to wait.
    void defer(std::size_t size) noexcept {
        WEIR_ASSERT(end_ != nullptr && size <= size_ &&
                    "a record is committed twice, or longer than was reserved");
        end_->machine.finish(size_, static_cast<std::uint32_t>(size));
        end_->count_record();
        abandon();
    }
    void defer() noexcept { defer(size_); }
    void abandon() noexcept {
        if (end_ != nullptr) std::exchange(end_, nullptr)->set_in_use(false);
    }

private:
    End* end_;
    std::uint32_t size_;
};

/// A record, in place or copied as a RingItem is, or in the buffer that it was read into. Dropping it releases it.
/// Move-only; lives no longer than its reader, which must not move.
template <class End>
class [[nodiscard]] BasicByteRecord : public RingItemBase<End> {
public:
    BasicByteRecord(End& end, ConstBytes bytes) noexcept : RingItemBase<End>(end), bytes_(bytes) {}
    /// 8-aligned, but where the buffer is not. After defer() they stay until the next release or wait; copies, until the
    /// next record is taken.
    [[nodiscard]] ConstBytes bytes() const noexcept { return bytes_; }

private:
    ConstBytes bytes_;
};

/// What reserve() of a writer of bytes returns.
template <class End>
class [[nodiscard]] ReserveBytes : public Awaitable<ReserveBytes<End>> {
public:
    using Outcome = Result<BasicByteSlot<End>>;
    ReserveBytes(End& end, std::size_t size) noexcept : end_(&end), size_(size) {}

    class Wait : public RingWait<End> {
    public:
        explicit Wait(ReserveBytes&& reserve) noexcept
            : RingWait<End>(kind, *reserve.end_, 0), size_(static_cast<std::uint32_t>(reserve.size_)) {
            const End& writer = *reserve.end_;
            if (!writer.open()) {
                this->refuse(Errc::closed);
                return;
            }
            const std::uint32_t most = ring::record_size_max(writer.machine.capacity());
            if (reserve.size_ > most) {
                this->error_ =
                    Error{.code = Errc::too_large, .operation = this->name(), .a = reserve.size_, .b = most};
                return;
            }
            this->units_ = writer.machine.needed(size_);
        }
        bool start(const Start& start) noexcept { return this->error_ || RingWait<End>::start(start); }
        Outcome take() noexcept {
            if (!this->arrived()) return this->failed();
            End& writer = this->end();
            this->found(writer.machine.known() > this->units_);
            writer.machine.claim(1, ring::record_units(size_));
            return BasicByteSlot<End>(writer, size_);
        }

    private:
        static constexpr Pending::Kind kind{End::waiting_for, nullptr};
        std::uint32_t size_;
    };

private:
    End* end_;
    std::size_t size_;
};

/// Takes the next record where it lies, or copies it if the writer is not trusted.
template <class End>
struct TakeBytes {
    Result<ConstBytes> operator()(End& reader, const char* operation) const noexcept {
        if (reader.copies()) [[unlikely]] {
            const auto made = reader.make_copy_room(ring::record_size_max(reader.machine.capacity()));
            if (!made) return failure(made.error());
        }
        ring::RecordConsumer<ring::MachineAtomics>::Record record{};
        if (!reader.machine.take(record)) {
            reader.set_broken();
            return failure(Errc::corrupt, operation);
        }
        return ConstBytes{reader.readable(record.offset, record.size), record.size};
    }
};
/// Copies the next record into a buffer; one that does not fit stays.
template <class End>
struct TakeBytesInto {
    Bytes buffer;
    Result<ConstBytes> operator()(End& reader, const char* operation) const noexcept {
        ring::RecordConsumer<ring::MachineAtomics>::Record record{};
        if (!reader.machine.find(record)) {
            reader.set_broken();
            return failure(Errc::corrupt, operation);
        }
        if (record.size > buffer.size())
            return failure(Errc::too_large, operation, record.size, buffer.size());
        if (record.size > 0) copy_from_peer(buffer.data(), reader.data() + record.offset, record.size);
        reader.machine.advance(record.units);
        return ConstBytes{buffer.data(), record.size};
    }
};

/// What next() of a reader of bytes returns.
template <class End, class Take>
class [[nodiscard]] NextBytes : public Awaitable<NextBytes<End, Take>> {
public:
    using Outcome = Result<BasicByteRecord<End>>;
    explicit NextBytes(End& end, Take take = {}) noexcept : end_(&end), take_(take) {}

    class Wait : public RingWait<End> {
    public:
        explicit Wait(NextBytes&& next) noexcept : RingWait<End>(kind, *next.end_, 1), take_(next.take_) {}
        Outcome take() noexcept {
            if (!this->arrived()) return this->failed();
            WEIR_TRY(const ConstBytes bytes, take_(this->end(), this->name()));
            this->found(this->end().machine.known() > 0);
            return BasicByteRecord<End>(this->end(), bytes);
        }

    private:
        static constexpr Pending::Kind kind{End::waiting_for, nullptr};
        [[no_unique_address]] Take take_;
    };

private:
    End* end_;
    [[no_unique_address]] Take take_;
};

/// Writing records of bytes at an End, whatever its ring is made of.
template <class End>
class ByteRingWriting {
public:
    /// Waits for room for a record of `size` bytes. Errors: too_large (beyond record_size_max()), and those of
    /// RingWriting::reserve.
    [[nodiscard]] ReserveBytes<End> reserve(std::size_t size) noexcept {
        return ReserveBytes<End>(end_, size);
    }
    void commit() noexcept { end_.flush(); }

    [[nodiscard]] std::size_t record_size_max() const noexcept {
        return ring::record_size_max(end_.machine.capacity());
    }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return end_.sleeps(); }

protected:
    End end_;
};

/// Reading records of bytes at an End, whatever its ring is made of.
template <class End>
class ByteRingReading {
public:
    /// As RingReading::next; the bytes are valid until the record is released. Copies take memory for half the ring, from
    /// the first one on; error: no_memory, and the record stays.
    [[nodiscard]] auto next() noexcept { return NextBytes<End, TakeBytes<End>>(end_); }
    /// The same, copied into `buffer`, which lives until the record is released, whoever the writer is. Error: too_large
    /// (its size and the buffer's), and the record stays.
    [[nodiscard]] auto next(Bytes buffer) noexcept {
        return NextBytes<End, TakeBytesInto<End>>(end_, {buffer});
    }
    void release() noexcept { end_.flush(); }
    void close() noexcept { end_.shut(); }
    [[nodiscard]] std::uint64_t sleeps() const noexcept { return end_.sleeps(); }

protected:
    End end_;
};

using ByteSlot = BasicByteSlot<RingWriterEnd>;
using ByteRecord = BasicByteRecord<RingReaderEnd>;

/// As RingWriter, of bytes.
class ByteRingWriter : public ByteRingWriting<RingWriterEnd> {
public:
    ByteRingWriter() noexcept = default;
    /// As RingWriter<T>::create.
    static Result<ByteRingWriter> create(Scheduler& scheduler, const RingName& name,
                                         const ByteRingOptions& options = {}) noexcept;
    /// As RingWriter<T>::close.
    [[nodiscard]] RingDrain close() noexcept { return RingDrain(end_); }
    [[nodiscard]] bool has_reader() const noexcept { return end_.has_reader(); }
};

/// As RingReader, of bytes.
class ByteRingReader : public ByteRingReading<RingReaderEnd> {
public:
    ByteRingReader() noexcept = default;

    /// What open() returns.
    class Open;
    /// As RingReader<T>::open.
    [[nodiscard]] static Open open(Scheduler& scheduler, const RingName& name,
                                   const LinkOpenOptions& options = {}) noexcept;
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
