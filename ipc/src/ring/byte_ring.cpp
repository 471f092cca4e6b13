// SPDX-License-Identifier: MIT
#include "weir/ipc/ring/byte_ring.hpp"

namespace weir::ipc {
Result<ByteRingWriter> ByteRingWriter::create(Scheduler& scheduler, const RingName& name,
                                              const ByteRingOptions& options) noexcept {
    ByteRingWriter writer;
    const auto created = writer.end_.create(scheduler, name, byte_ring_shape(options.bytes), options.link);
    if (!created) return failure(created.error());
    return writer;
}

ByteRingReader::Open ByteRingReader::open(Scheduler&, const RingName& name,
                                          const LinkOpenOptions& options) noexcept {
    return Open(open_link(name, byte_ring_shape(0).terms(), options));
}
Result<ByteRingReader> ByteRingReader::Open::Wait::take() noexcept {
    WEIR_TRY(LinkClient client, OpenLink::Wait::take());
    ByteRingReader reader;
    const auto attached = reader.end_.attach(std::move(client), 1);
    if (!attached) return failure(attached.error());
    return reader;
}

}  // namespace weir::ipc
