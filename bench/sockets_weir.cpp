// SPDX-License-Identifier: MIT
//
// bench_sockets_weir: a task for each connection, once for each backend.
//
// A frame holds the slots of its group and has 32 KiB at most, so the sessions are spread over several groups.

#include "sockets.hpp"

#include "weir/core/report.hpp"
#include "weir/coro/group.hpp"
#include "weir/io/unix_stream.hpp"
#include "weir/scheduler/scheduler.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace bench {

namespace {

constexpr std::size_t share_max = 200;
constexpr std::size_t shares_max = 8;
constexpr weir::Budget budget{
    .frame_bytes = std::size_t{2} << 20, .submissions = 1'024, .descriptors = 1'024};

constinit weir::StaticScheduler<budget> scheduler;

using Sockets = std::span<const int>;

weir::Task<> session(weir::Scheduler&, int socket) {
    WEIR_CO_TRY(auto stream, weir::UnixStream::adopt(socket));
    EchoBuffer buffer;
    for (;;) {
        WEIR_CO_TRY(const auto bytes, stream.read(buffer));
        if (bytes.empty()) co_return;
        WEIR_CO_CHECK(stream.write_all(bytes));
    }
}

weir::Task<> spawn_sessions(weir::Scheduler& on, weir::Group& group, Sockets sockets) {
    for (const int socket : sockets) WEIR_CO_CHECK(group.spawn(session(on, socket)));
}

weir::Task<> share(weir::Scheduler& on, Sockets sockets) {
    WEIR_CO_CHECK(weir::with_group<share_max>(on, spawn_sessions, sockets));
}

weir::Task<> spawn_shares(weir::Scheduler& on, weir::Group& group, Sockets sockets) {
    while (!sockets.empty()) {
        const std::size_t count = std::min(share_max, sockets.size());
        WEIR_CO_CHECK(group.spawn(share(on, sockets.first(count))));
        sockets = sockets.subspan(count);
    }
}

weir::Task<> serve_all(weir::Scheduler& on, Sockets sockets) {
    WEIR_CO_CHECK(weir::with_group<shares_max>(on, spawn_shares, sockets));
}

template <weir::BackendChoice backend>
void serve(Sockets sockets) {
    if (!scheduler.start({.backend = backend})) skip(scheduler.backend_reason().data());
    const auto result = scheduler.run(serve_all(scheduler, sockets));
    if (result) return;
    weir::report(result.error());
    std::exit(1);
}

}  // namespace

}  // namespace bench

int main(int argc, char** argv) {
    constexpr std::array servers{
        bench::NamedServer{"weir-epoll", bench::serve<weir::BackendChoice::epoll>},
        bench::NamedServer{"weir-uring", bench::serve<weir::BackendChoice::io_uring>},
    };
    return bench::sockets_main(std::span(argv, static_cast<std::size_t>(argc)), servers);
}
