// SPDX-License-Identifier: MIT
//
// bench_idle_weir: what a connection that waits for its peer costs beyond the frame of its session.
//
// Two hundred sessions await a read. The figure is each one's part of the group's frames, with its slots, and its
// descriptor's entry. The session's frame holds the operation that waits; its block's size is told besides. The
// kernel's memory is not in it. Nothing is estimated, and nothing is on the heap.

#include "measurement.hpp"

#include "weir/core/report.hpp"
#include "weir/coro/group.hpp"
#include "weir/coro/sleep.hpp"
#include "weir/io/unix_stream.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <array>
#include <cstdlib>
#include <utility>

namespace {

constexpr std::size_t connection_count = 200;
constexpr weir::Budget budget{.frame_bytes = std::size_t{1} << 20, .submissions = 256, .descriptors = 256};

constinit weir::StaticScheduler<budget> scheduler;
weir::Usage idle{};

using Buffer = std::array<std::byte, 256>;

weir::Task<> session(weir::Scheduler&, weir::UnixStream stream) {
    Buffer buffer;
    WEIR_CO_TRY(const auto bytes, stream.read(buffer));
    if (!bytes.empty()) co_return co_await weir::fail(weir::Errc::invalid, "a byte that nobody sent");
}

weir::Task<> wait_until_idle(weir::Scheduler& on, weir::Group& group) {
    std::array<weir::UnixStream, connection_count> peers;
    for (weir::UnixStream& peer : peers) {
        WEIR_CO_TRY(auto pair, weir::UnixStream::pair());
        peer = std::move(pair.first);
        WEIR_CO_CHECK(group.spawn(session(on, std::move(pair.second))));
    }
    while (on.usage().operations < connection_count) WEIR_CO_CHECK(weir::yield());
    idle = on.usage();
}

weir::Task<> measure(weir::Scheduler& on) {
    WEIR_CO_CHECK(weir::with_group<connection_count>(on, wait_until_idle));
}

}  // namespace

int main() {
    const auto result = scheduler.run(measure(scheduler));
    if (!result) {
        weir::report(result.error());
        return 1;
    }
    std::size_t session_bytes = 0;
    for (const weir::FrameUsage& blocks : idle.classes) {
        if (blocks.in_use == connection_count) session_bytes = blocks.size;
    }
    if (session_bytes == 0) bench::fail("no class of frames holds the sessions alone");
    // The other ends are the load's.
    constexpr std::size_t peers = sizeof(weir::UnixStream) * connection_count;
    const std::size_t group_bytes = idle.frame_bytes - session_bytes * connection_count - peers;
    bench::print_ns(static_cast<double>(group_bytes) / static_cast<double>(connection_count) +
                    static_cast<double>(sizeof(weir::DescriptorEntry)));
    bench::print_extra("session_frame_bytes", static_cast<double>(session_bytes));
    return 0;
}
