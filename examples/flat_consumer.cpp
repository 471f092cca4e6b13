// SPDX-License-Identifier: MIT
//
// Records of any length and shape through shared memory, the reading side: see flat_producer.cpp for how to run both.
//
// Shows: a record copied out of the ring and verified before anything in it is followed. A record that is no scan, or
// one with more tables than the limits allow, is `corrupt`, whatever its writer meant by it.
#include "flat_scan.hpp"

#include <weir/weir.hpp>

#include <array>
#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

weir::Result<void> print_scan(weir::ConstBytes record) {
    alignas(weir::ipc::flat_alignment) std::array<std::byte, scan_bytes_max> copy;
    constexpr weir::ipc::FlatLimits limits{.depth_max = 2, .tables_max = 32};
    WEIR_TRY(const example::Scan* scan,
             weir::ipc::read_flat<example::Scan>(record, copy, limits, example::ScanIdentifier()));
    // What the schema calls (required) is there; flat_items() of an absent vector is empty.
    std::printf("scan %u at %.1f m: %zu ranges\n", scan->number(), scan->pose()->x_m(),
                weir::ipc::flat_items(scan->ranges_m()).size());
    for (const example::Obstacle* obstacle : weir::ipc::flat_items(scan->obstacles())) {
        std::printf("  %s:", obstacle->name()->c_str());
        for (const float corner_m : weir::ipc::flat_items(obstacle->outline_m()))
            std::printf(" %.1f", static_cast<double>(corner_m));
        std::puts("");
    }
    return {};
}

Task<> consume(Scheduler& scheduler) {
    WEIR_CO_TRY(auto ring, weir::ipc::ByteRingReader::open(scheduler, scans).within(60s));
    for (;;) {
        auto next = co_await ring.next().within(60s);
        if (!next && next.error() == weir::Errc::ended) break;
        WEIR_CO_TRY(const auto record, std::move(next));
        const auto printed = print_scan(record.bytes());
        if (!printed) co_return co_await weir::fail(printed.error());
    }
    std::puts("the writer has closed");
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, consume);
}
