// SPDX-License-Identifier: MIT
//
// A server and a client of it in one scheduler, and what they say to each other.
#pragma once

#include "service_place.hpp"

#include "io/running.hpp"

#include <cstdint>
#include <utility>

namespace weir::test {

template <class Body>
void on_each(Body body) {
    for_each_seed([&](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run(body(*running, place));
    });
}

/// A server and a client of it.
struct Pair {
    Adder::Server server;
    Adder::Client client;
};
inline Task<Pair> pair_of(Scheduler& of, const Place& place, ipc::ServiceOptions options = {}) {
    using namespace std::chrono_literals;
    WEIR_CO_TRY(auto server, Adder::Server::create(of, adder, place.served(options)));
    WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, place.opened()).within(10s));
    co_return Pair{std::move(server), std::move(client)};
}

inline Task<> serve(Scheduler&, Adder::Server& server, int count) {
    using namespace std::chrono_literals;
    for (int i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto call, server.next().within(10s));
        call.reply({.sum = std::int64_t{call->left} + call->right});
    }
}
inline Task<> ask(Scheduler&, Adder::Client& client, std::int32_t left) {
    using namespace std::chrono_literals;
    WEIR_CO_TRY(const auto reply, client.call({.left = left, .right = 40}).within(10s));
    CHECK_IN_TASK(reply.sum == left + 40);
}
/// A call that ends with an error.
inline Task<> ask_in_vain(Scheduler&, Adder::Client& client, Errc expected) {
    using namespace std::chrono_literals;
    const auto reply = co_await client.call({.left = 1, .right = 1}).within(10s);
    CHECK_IN_TASK(code_of(reply) == expected);
}

}  // namespace weir::test
