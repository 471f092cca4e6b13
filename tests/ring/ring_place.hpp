// SPDX-License-Identifier: MIT
#pragma once

#include <weir/ipc/ring/byte_ring.hpp>

#include "reading.hpp"

#include "io/temporary_directory.hpp"

namespace weir::test {

inline constexpr ipc::RingName readings{"test/readings"};

/// A runtime directory of its own for one test.
struct Place {
    explicit Place(ipc::LinkTrust whom = ipc::LinkTrust::same_user)
        : directory(*ipc::RuntimeDirectory::at(temporary.path())), trust(whom) {}
    [[nodiscard]] ipc::RingOptions slots(std::uint32_t count) const {
        return {.slots = count, .link = {.trust = trust, .directory = &directory}};
    }
    [[nodiscard]] ipc::ByteRingOptions bytes(std::uint32_t count) const {
        return {.bytes = count, .link = {.trust = trust, .directory = &directory}};
    }
    [[nodiscard]] ipc::LinkOpenOptions opened() const { return {.trust = trust, .directory = &directory}; }

    TemporaryDirectory temporary;
    ipc::RuntimeDirectory directory;
    ipc::LinkTrust trust;
};

}  // namespace weir::test
