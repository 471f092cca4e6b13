// SPDX-License-Identifier: MIT
#include "weir/ipc/ring/byte_ring.hpp"

namespace weir::ipc {
namespace {

constexpr RingShape shape_of(std::uint32_t bytes) noexcept {
    return {.units = bytes, .unit_bytes = 1, .record_size = 0, .layout = sizeof(ring::RecordHeader)};
}

}  // namespace

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
