// SPDX-License-Identifier: MIT
//
// Calls between processes, the client: see service_server.cpp for how to run both.
//
// Shows: waiting for a name to be served, a call and its reply, a rejection, a stream, and a deadline, of which the server
// learns.
#include "service_valve.hpp"

#include <weir/weir.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

Task<> ask(Scheduler& scheduler) {
    WEIR_CO_TRY(auto valve, Valve::Client::open(scheduler, valve_name).within(60s));

    WEIR_CO_TRY(const auto position, valve.call({.percent = 30, .steps = 0}).within(60s));
    std::printf("at %d %%\n", position.percent);

    const auto too_far = co_await valve.call({.percent = 130, .steps = 0}).within(60s);
    if (!too_far && too_far.error() == weir::Errc::rejected)
        std::printf("rejected with status %u\n", static_cast<unsigned>(too_far.error().a));

    WEIR_CO_TRY(auto moving, valve.stream({.percent = -1, .steps = 5}));
    for (;;) {
        auto next = co_await moving.next().within(60s);
        if (!next && next.error() == weir::Errc::ended) break;
        WEIR_CO_TRY(const auto now, next);
        std::printf("moving, at %d %%\n", now.percent);
    }

    const auto slow = co_await valve.call({.percent = 100, .steps = 0}).within(300ms);
    if (!slow && slow.error() == weir::Errc::timed_out) std::puts("it takes too long");
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, ask);
}
