// SPDX-License-Identifier: MIT
//
// A client whose server goes, and comes again.
#include "service_pair.hpp"

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;

TEST_CASE("a client that reconnects waits for the next server, within the deadline of each call") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto first, Adder::Server::create(of, adder, place.served()));
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, place.reconnecting()).within(10s));
        WEIR_CO_CHECK(all_of(ask(of, client, 1), serve(of, first, 1)));
        first.close();
        WEIR_CO_CHECK(client.lost().within(10s));
        const auto nobody = co_await client.call({.left = 1, .right = 1}).within(5ms);
        CHECK_IN_TASK(code_of(nobody) == Errc::timed_out);
        CHECK_IN_TASK(client.restarts() == 0);
        const auto serves_later = [](Scheduler& in, const Place& where) -> Task<> {
            WEIR_CO_CHECK(sleep_for(5ms));
            WEIR_CO_TRY(auto server, Adder::Server::create(in, adder, where.served()));
            WEIR_CO_CHECK(serve(in, server, 3));
        };
        WEIR_CO_CHECK(
            all_of(ask(of, client, 1), ask(of, client, 2), ask(of, client, 3), serves_later(of, place)));
        CHECK_IN_TASK(client.restarts() == 1);
    });
}

TEST_CASE("attach() waits for the next server where calls do not") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        WEIR_CO_CHECK(pair.client.attach());  // at once
        pair.server.close();
        WEIR_CO_CHECK(pair.client.lost().within(10s));
        WEIR_CO_CHECK(ask_in_vain(of, pair.client, Errc::ended));
        const auto nobody = co_await pair.client.attach().within(5ms);
        CHECK_IN_TASK(code_of(nobody) == Errc::timed_out);
        WEIR_CO_TRY(auto next, Adder::Server::create(of, adder, place.served()));
        WEIR_CO_CHECK(pair.client.attach().within(10s));
        CHECK_IN_TASK(pair.client.restarts() == 1);
        WEIR_CO_CHECK(all_of(ask(of, pair.client, 1), serve(of, next, 1)));
    });
}

TEST_CASE(
    "a client that looks for another server may be closed meanwhile, and one that is different is refused") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        pair.server.close();
        WEIR_CO_CHECK(pair.client.lost().within(10s));
        const auto nobody = co_await pair.client.attach().within(1ms);
        CHECK_IN_TASK(code_of(nobody) == Errc::timed_out);
        const auto closes = [](Scheduler&, Adder::Client& client) -> Task<> {
            WEIR_CO_CHECK(sleep_for(1ms));
            client.close();
        };
        {
            const auto waits = [](Scheduler&, Adder::Client& client) -> Task<> {
                const auto attached = co_await client.attach();
                CHECK_IN_TASK(code_of(attached) == Errc::closed);
            };
            WEIR_CO_CHECK(all_of(waits(of, pair.client), closes(of, pair.client)));
        }
        WEIR_CO_TRY(auto small, pair_of(of, place, {.calls_max = 4}));
        small.server.close();
        WEIR_CO_CHECK(small.client.lost().within(10s));
        WEIR_CO_TRY(auto wider, Adder::Server::create(of, adder, place.served({.calls_max = 8})));
        const auto attached = co_await small.client.attach().within(10s);
        CHECK_IN_TASK(code_of(attached) == Errc::mismatch);
        wider.close();
        WEIR_CO_TRY(auto same, Adder::Server::create(of, adder, place.served({.calls_max = 4})));
        WEIR_CO_CHECK(small.client.attach().within(10s));
    });
}
