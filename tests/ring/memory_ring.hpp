// SPDX-License-Identifier: MIT
//
// The memory of a ring inside one process, and what its ends need to talk without a scheduler.
#pragma once

#include <weir/ipc/ring/records.hpp>

#include <vector>

namespace weir::test {

using namespace weir::ipc::ring;

struct MemoryRing {
    explicit MemoryRing(std::uint32_t bytes) : data(bytes) {}

    [[nodiscard]] auto producer() {
        return RecordProducer<MachineAtomics>(writer, reader, data.data(), size());
    }
    [[nodiscard]] auto consumer() {
        return RecordConsumer<MachineAtomics>(reader, writer, data.data(), size());
    }
    [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(data.size()); }

    Words<MachineAtomics> writer;
    Words<MachineAtomics> reader;
    std::vector<std::byte> data;
};

/// Tells the peer of all that was finished, as an end in use does by the end of its turn: lightly first, then surely.
/// True if the peer has to be rung.
template <class End>
[[nodiscard]] bool tell(End& end) {
    const bool seen_asleep = end.publish_lightly();
    return end.peer_sleeps() || seen_asleep;
}

}  // namespace weir::test
