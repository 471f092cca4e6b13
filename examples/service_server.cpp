// SPDX-License-Identifier: MIT
//
// Calls between processes, the server. In two shells, in any order:
//
//     WEIR_RUNTIME_DIR=/tmp/example build/gcc/examples/service_server
//     WEIR_RUNTIME_DIR=/tmp/example build/gcc/examples/service_client
//
// Shows: a service with limits, calls that are answered by tasks of their own, a rejection with a status, a stream of
// replies that goes as fast as its reader, and work that ends when its caller does not wait any more. `weir ls` shows it
// meanwhile.
#include "service_valve.hpp"

#include <weir/weir.hpp>

#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

Task<> move_slowly(Scheduler&) {
    WEIR_CO_CHECK(weir::sleep_for(1h));
}

Task<> answer(Scheduler& scheduler, Valve::Call call) {
    if (call->percent > 100) {
        call.reject(static_cast<std::uint32_t>(ValveStatus::beyond_its_range));
    } else if (call.is_streamed()) {
        for (std::uint32_t step = 1; step <= call->steps; ++step)
            WEIR_CO_CHECK(call.send({.percent = static_cast<std::int32_t>(100 * step / call->steps)}));
        call.finish();
    } else if (call->percent < 100) {
        call.reply({.percent = call->percent});
    } else {
        // Whoever waits gives up before that: then the work is stopped, and the valve is not left half open.
        const auto first = co_await weir::first_of(move_slowly(scheduler), call.cancelled());
        std::puts(first.index() == 1 ? "the caller gave up" : "moved");
    }
}  // a call that nobody has answered is rejected here

Task<> serve(Scheduler& scheduler, weir::Group& answers) {
    WEIR_CO_TRY(auto valve, Valve::Server::create(scheduler, valve_name, {.clients_max = 2, .calls_max = 4}));
    for (int i = 0; i < 4; ++i) {
        WEIR_CO_TRY(auto call, valve.next().within(60s));
        WEIR_CO_CHECK(answers.spawn(answer(scheduler, std::move(call))));
    }
    // The last client has gone when it has all its answers.
    while (valve.clients() > 0) WEIR_CO_CHECK(weir::sleep_for(1ms));
}

Task<> run(Scheduler& scheduler) {
    WEIR_CO_CHECK(weir::with_group<4>(scheduler, serve));
}

int main(int argc, char** argv) {
    return weir::run_main<weir::Budget{.frame_bytes = 32 * 1024, .links = 3}>(argc, argv, run);
}
