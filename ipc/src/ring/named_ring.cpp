// SPDX-License-Identifier: MIT
#include "weir/ipc/ring/named_ring.hpp"

namespace weir::ipc {

Result<NamedByteRingWriter> NamedByteRingWriter::open(Scheduler& scheduler, const RingName& name,
                                                      const NamedByteRingOptions& options) noexcept {
    NamedByteRingWriter writer;
    const auto opened = writer.end_.attach(scheduler, name, byte_ring_shape(options.bytes), options.access);
    if (!opened) return failure(opened.error());
    return writer;
}

Result<NamedByteRingReader> NamedByteRingReader::open(Scheduler& scheduler, const RingName& name,
                                                      const NamedByteRingOptions& options) noexcept {
    NamedByteRingReader reader;
    const auto opened = reader.end_.attach(scheduler, name, byte_ring_shape(options.bytes), options.access);
    if (!opened) return failure(opened.error());
    return reader;
}

}  // namespace weir::ipc
