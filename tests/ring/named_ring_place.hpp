// SPDX-License-Identifier: MIT
//
// Where a test has its named ring, and what it writes into it and reads out of it.
#pragma once

#include <weir/ipc/ring/named_ring.hpp>

#include "reading.hpp"

#include "io/running.hpp"
#include "io/temporary_directory.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

// Beside weir::test, where rings that end with their writer have a Place of their own.
namespace weir::test::named {

inline constexpr ipc::RingName name{"log/readings"};
using Writer = ipc::NamedRingWriter<Reading>;
using Reader = ipc::NamedRingReader<Reading>;

struct Place {
    Place() : directory(*ipc::RuntimeDirectory::at(temporary.path())) {}
    [[nodiscard]] ipc::NamedRingOptions slots(std::uint32_t count) const {
        return {.slots = count, .access = {.directory = &directory}};
    }
    [[nodiscard]] ipc::NamedByteRingOptions bytes(std::uint32_t count) const {
        return {.bytes = count, .access = {.directory = &directory}};
    }
    [[nodiscard]] std::string file() const { return temporary / "log~readings.ring"; }
    [[nodiscard]] std::vector<std::string> files() const {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(temporary.path()))
            found.push_back(entry.path().filename());
        std::sort(found.begin(), found.end());
        return found;
    }
    TemporaryDirectory temporary;
    ipc::RuntimeDirectory directory;
};

template <class Body>
void on_each(Body body) {
    for_each_seed([&](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run(body(*running, place));
        CHECK(running->usage().links == 0);
    });
}

// Without deadlines, since what has arrived wins over one: whoever is not woken waits for ever.
inline Task<> put(Scheduler&, Writer& ring, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto slot, ring.reserve());
        *slot = {.number = i, .value = static_cast<std::int32_t>(i) * 3, .sensor = 7};
        slot.commit();
    }
}
inline Task<> expect(Scheduler&, Reader& ring, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
        WEIR_CO_TRY(auto item, ring.next());
        CHECK_IN_TASK(item->number == i);
        CHECK_IN_TASK(item->value == static_cast<std::int32_t>(i) * 3);
    }
}

/// Writes into a file that a process may have mapped.
inline void overwrite(const std::string& path, std::size_t offset, const std::string& bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    REQUIRE(file.good());
}

}  // namespace weir::test::named
