// SPDX-License-Identifier: MIT
//
// Records of any length and shape through shared memory, the writing side. In two shells, in any order:
//
//     WEIR_RUNTIME_DIR=/tmp/example build/gcc/examples/flat_producer
//     WEIR_RUNTIME_DIR=/tmp/example build/gcc/examples/flat_consumer
//
// Shows: FlatBuffers built in place in a ring of bytes, without heap: arrays and lists that have no fixed length, and
// tables in tables. What does not fit is an error value. examples/scan.fbs is the schema.
#include "flat_scan.hpp"

#include <weir/weir.hpp>

#include <array>
#include <cstdio>
#include <span>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

// The number-th scan sees `number` obstacles, each with a corner more than the one before.
weir::Result<std::size_t> write_scan(weir::Bytes into, std::uint32_t number) {
    constexpr std::array<const char*, 3> names{"wall", "door", "chair"};
    constexpr std::array ranges_m{1.5F, 2.0F, 2.5F, 3.0F, 3.5F, 4.0F};

    weir::ipc::FlatWriter writer(into);  // from the leaves to the root
    std::array<flatbuffers::Offset<example::Obstacle>, names.size()> obstacles;
    for (std::uint32_t i = 0; i < number; ++i) {
        const auto name = writer.string(names[i]);
        const auto outline_m = writer.vector(std::span(ranges_m).first(3 + i));
        obstacles[i] = writer.table(example::CreateObstacle, name, outline_m);
    }
    const example::Pose pose(0.5 * number, 1.0, 0.0);
    const auto scan =
        writer.table(example::CreateScan, number, &pose, writer.vector(std::span(ranges_m).first(2 * number)),
                     writer.vector(std::span(obstacles).first(number)));
    return writer.finish(
        scan, example::ScanIdentifier());  // the one place that has to be asked whether all of it fitted
}

Task<> produce(Scheduler& scheduler) {
    WEIR_CO_TRY(auto ring, weir::ipc::ByteRingWriter::create(scheduler, scans, {.bytes = 4096}));
    for (std::uint32_t number = 1; number <= 3; ++number) {
        WEIR_CO_TRY(auto slot, ring.reserve(scan_bytes_max).within(60s));
        WEIR_CO_TRY(const std::size_t size, write_scan(slot.bytes(), number));
        slot.commit(size);  // and gives back what the scan did not need
    }
    WEIR_CO_CHECK(ring.close().within(60s));
    std::puts("all three were read");
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, produce);
}
