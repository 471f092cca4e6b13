// SPDX-License-Identifier: MIT
//
// A service between processes, some of which are killed or stopped.
#include "service_place.hpp"

#include "io/victim.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;

Task<> serve(Scheduler& scheduler, const Place& place, int say_to) {
    WEIR_CO_TRY(auto server, Adder::Server::create(scheduler, adder, place.served({.calls_max = 4})));
    say(say_to);
    for (;;) {
        WEIR_CO_TRY(auto call, server.next());
        call.reply({.sum = std::int64_t{call->left} + call->right});
    }
}

/// Answers the first call, keeps the second one, and says so.
Task<> answer_one_and_keep_one(Scheduler& scheduler, const Place& place, int say_to) {
    WEIR_CO_TRY(auto server, Adder::Server::create(scheduler, adder, place.served()));
    WEIR_CO_TRY(auto first, server.next());
    WEIR_CO_TRY(auto second, server.next());
    WEIR_CO_TRY(auto streamed, server.next());
    WEIR_CO_CHECK(streamed.send({.sum = 0}));
    WEIR_CO_CHECK(streamed.send({.sum = 1}));
    first.reply({.sum = 42});
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

Task<> call_and_stay(Scheduler& scheduler, const Place& place, int say_to) {
    WEIR_CO_TRY(auto client, Adder::Client::open(scheduler, adder, place.opened()).within(30s));
    say(say_to);
    const auto both =
        co_await all_of(client.call({.left = 1, .right = 1}), client.call({.left = 2, .right = 2}));
    std::ignore = both;
}

Task<> ask(Scheduler&, Adder::Client& client, std::int32_t left, Errc expected) {
    const auto reply = co_await client.call({.left = left, .right = 1}).within(30s);
    CHECK_IN_TASK(code_of(reply) == expected);
}
Task<> ask_well(Scheduler&, Adder::Client& client, std::int32_t left) {
    const auto reply = co_await client.call({.left = left, .right = 1}).within(30s);
    CHECK_IN_TASK((reply && reply->sum == left + 1));
}

}  // namespace

TEST_CASE("a killed server's answers all come, then its other calls end with peer_lost") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return answer_one_and_keep_one(in, place, say_to); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& server) -> Task<> {
        const auto first = [](Scheduler&, Adder::Client& client) -> Task<> {
            const auto reply = co_await client.call({.left = 41, .right = 1}).within(30s);
            CHECK_IN_TASK((reply && reply->sum == 42));
        };
        const auto streams_and_kills = [](Scheduler&, Adder::Client& client, Victim& whom) -> Task<> {
            WEIR_CO_TRY(auto stream, client.stream({.left = 0, .right = 0}));
            {
                // This thread hears of nothing before the server is dead.
                const HeapPermit permit;
                whom.wait_until_it_says();
                whom.kill();
            }
            for (std::int64_t i = 0; i < 2; ++i) {
                const auto part = co_await stream.next().within(30s);
                CHECK_IN_TASK((part && part->sum == i));
            }
            const auto end = co_await stream.next().within(30s);
            CHECK_IN_TASK(code_of(end) == Errc::peer_lost);
        };
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(30s));
        WEIR_CO_CHECK(all_of(first(of, client), ask(of, client, 2, Errc::peer_lost),
                             streams_and_kills(of, client, server)));
        const auto late = co_await client.call({.left = 1, .right = 1});
        CHECK_IN_TASK(code_of(late) == Errc::peer_lost);
    }(*running, place, victim));
}

TEST_CASE("a killed client's calls are cancelled, and the other clients notice nothing") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return call_and_stay(in, place, say_to); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& dies) -> Task<> {
        WEIR_CO_TRY(auto server,
                    Adder::Server::create(of, adder, where.served({.clients_max = 2, .calls_max = 2})));
        WEIR_CO_TRY(auto first, server.next().within(30s));
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(30s));
        CHECK_IN_TASK(first.client().pid == dies.pid());
        dies.kill();
        WEIR_CO_CHECK(first.cancelled().within(30s));
        // The other one was never taken, and is gone.
        while (server.calls() != 1) WEIR_CO_CHECK(sleep_for(1ms));
        CHECK_IN_TASK(server.clients() == 1);
        const auto serves = [](Scheduler&, Adder::Server& of_both) -> Task<> {
            WEIR_CO_TRY(auto call, of_both.next().within(30s));
            CHECK_IN_TASK(call->left == 7);
            call.reply({.sum = 8});
        };
        WEIR_CO_CHECK(all_of(serves(of, server), ask_well(of, client, 7)));
        first.reply({.sum = 1});
        CHECK_IN_TASK(server.calls() == 0);
        CHECK_IN_TASK(server.breaches() == 0);
    }(*running, place, victim));
}

TEST_CASE("a client goes on with the successor of a killed server") {
    skip_where_simulated();
    const Place place;
    const auto serves = [&](Scheduler& in, int say_to) { return serve(in, place, say_to); };
    std::optional<Victim> server;
    server.emplace(serves);
    server->wait_until_it_says();
    Running running;
    running.must_run(
        [](Scheduler& of, const Place& where, std::optional<Victim>& victim, auto again) -> Task<> {
            WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.reconnecting()).within(30s));
            for (std::int32_t round = 0; round < 3; ++round) {
                WEIR_CO_CHECK(ask_well(of, client, round));
                {
                    const HeapPermit permit;
                    victim.emplace(again);
                    victim->wait_until_it_says();
                }
                // A call that still meets the dead one ends with peer_lost; the next one waits.
                const auto first = co_await client.call({.left = 1, .right = 1}).within(30s);
                CHECK_IN_TASK((first || first.error() == Errc::peer_lost));
                WEIR_CO_CHECK(ask_well(of, client, round));
                CHECK_IN_TASK(client.restarts() == static_cast<std::uint64_t>(round) + 1);
            }
        }(*running, place, server, serves));
}

TEST_CASE(
    "a server that is stopped holds its calls, whose deadlines pass, and goes on when it is continued") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return serve(in, place, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& server) -> Task<> {
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(30s));
        WEIR_CO_CHECK(ask_well(of, client, 1));
        CHECK_IN_TASK(::kill(server.pid(), SIGSTOP) == 0);
        int status = 0;
        CHECK_IN_TASK(::waitpid(server.pid(), &status, WUNTRACED) == server.pid());
        for (int i = 0; i < 4; ++i) {
            const auto late = co_await client.call({.left = 1, .right = 1}).within(1ms);
            CHECK_IN_TASK(code_of(late) == Errc::timed_out);
        }
        const auto full = co_await client.call({.left = 1, .right = 1}).within(1ms);
        CHECK_IN_TASK(code_of(full) == Errc::no_place);
        CHECK_IN_TASK(::kill(server.pid(), SIGCONT) == 0);
        for (;;) {
            const auto reply = co_await client.call({.left = 5, .right = 6}).within(30s);
            if (reply) {
                CHECK_IN_TASK(reply->sum == 11);
                break;
            }
            CHECK_IN_TASK(reply.error() == Errc::no_place);
            WEIR_CO_CHECK(sleep_for(1ms));
        }
    }(*running, place, victim));
}

TEST_CASE("both sides sleep and wake at random times, and no call is lost") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return serve(in, place, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        const auto asks = [](Scheduler& in, Adder::Client& client, std::uint32_t seed) -> Task<> {
            for (std::int32_t i = 0; i < 300; ++i) {
                seed = seed * 1'664'525 + 1'013'904'223;
                WEIR_CO_CHECK(ask_well(in, client, i));
                if (seed >> 30 == 0) WEIR_CO_CHECK(sleep_for(std::chrono::microseconds(seed >> 25)));
            }
        };
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(30s));
        WEIR_CO_TRY(auto other, Adder::Client::open(of, adder, where.opened()).within(30s));
        WEIR_CO_CHECK(
            all_of(asks(of, client, 1), asks(of, client, 2), asks(of, client, 3), asks(of, other, 4)));
    }(*running, place));
}
