// SPDX-License-Identifier: MIT
//
// The memory of a ring inside one process, and a bell that only counts.
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

}  // namespace weir::test
