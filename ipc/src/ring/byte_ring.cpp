// SPDX-License-Identifier: MIT
#include "weir/ipc/ring/byte_ring.hpp"

namespace weir::ipc {
namespace {

constexpr RingShape shape_of(std::uint32_t bytes) noexcept {
    return {.units = bytes, .unit_bytes = 1, .record_size = 0, .layout = sizeof(ring::RecordHeader)};
}

}  // namespace

ByteSlot::ByteSlot(RingWriterEnd& end, std::uint32_t size) noexcept : end_(&end), size_(size) {
    end.set_in_use(true);
}
Bytes ByteSlot::bytes() const noexcept {
    return {end_->data() + end_->machine.payload_offset(size_), size_};
}
void ByteSlot::abandon() noexcept {
    if (end_ != nullptr) std::exchange(end_, nullptr)->set_in_use(false);
}
void ByteSlot::defer(std::size_t size) noexcept {
    WEIR_ASSERT(end_ != nullptr && size <= size_ &&
                "a record is committed twice, or longer than was reserved");
    end_->machine.finish(size_, static_cast<std::uint32_t>(size));
    end_->count_record();
    abandon();
}
void ByteSlot::commit(std::size_t size) noexcept {
    RingWriterEnd* const end = end_;
    defer(size);
    end->publish();
}

ReserveBytes::Wait::Wait(ReserveBytes&& reserve) noexcept
    : RingWait<RingWriterEnd>(kind, *reserve.end_, 0), size_(static_cast<std::uint32_t>(reserve.size_)) {
    const RingWriterEnd& writer = *reserve.end_;
    if (!writer.open()) {
        error_ = Error{.code = Errc::closed, .operation = name()};
        return;
    }
    const std::uint32_t most = ring::record_size_max(writer.machine.capacity());
    if (reserve.size_ > most) {
        error_ = Error{.code = Errc::too_large, .operation = name(), .a = reserve.size_, .b = most};
        return;
    }
    units_ = writer.machine.needed(size_);
}
Result<ByteSlot> ReserveBytes::Wait::take() noexcept {
    if (!arrived()) return failed();
    return ByteSlot(end(), size_);
}

Result<ByteRecord> NextBytes::Wait::take() noexcept {
    if (!arrived()) return failed();
    RingReaderEnd& reader = end();
    ring::RecordConsumer<ring::MachineAtomics>::Record record{};
    if (!reader.machine.take(record)) {
        reader.set_broken();
        return failure(Errc::corrupt, name());
    }
    return ByteRecord(reader, {reader.data() + record.offset, record.size});
}

Result<ByteRingWriter> ByteRingWriter::create(Scheduler& scheduler, const RingName& name,
                                              const ByteRingOptions& options) noexcept {
    ByteRingWriter writer;
    const auto created = writer.end_.create(scheduler, name, shape_of(options.bytes), options.link);
    if (!created) return failure(created.error());
    return writer;
}

ByteRingReader::Open ByteRingReader::open(Scheduler&, const RingName& name,
                                          const LinkOpenOptions& options) noexcept {
    return Open(open_link(name, shape_of(0).terms(), options));
}
Result<ByteRingReader> ByteRingReader::Open::Wait::take() noexcept {
    WEIR_TRY(LinkClient client, OpenLink::Wait::take());
    ByteRingReader reader;
    const auto attached = reader.end_.attach(std::move(client), 1);
    if (!attached) return failure(attached.error());
    return reader;
}

}  // namespace weir::ipc
