// SPDX-License-Identifier: MIT
//
// Both sides of a service in one scheduler: calls, and how either side ends.
#include "service_pair.hpp"

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;

TEST_CASE("a call is answered") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto asks = [](Scheduler& in, const Place& where) -> Task<> {
            WEIR_CO_TRY(auto client, Adder::Client::open(in, adder, where.opened()).within(10s));
            CHECK_IN_TASK(client.calls_max() == 16);
            for (std::int32_t i = 0; i < 300; ++i) WEIR_CO_CHECK(ask(in, client, i));
        };
        WEIR_CO_TRY(auto server, Adder::Server::create(of, adder, place.served()));
        const auto both = co_await all_of(serve(of, server, 300), asks(of, place));
        CHECK_IN_TASK(both.has_value());
        CHECK_IN_TASK(server.calls() == 0);
    });
}

TEST_CASE(
    "calls in flight are answered in any order, each with its own reply, and one too many is told the "
    "limit") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto asks = [](Scheduler& in, Group& calls, Adder::Client& client) -> Task<> {
            for (std::int32_t i = 0; i < 5; ++i) WEIR_CO_CHECK(calls.spawn(ask(in, client, i)));
            WEIR_CO_CHECK(yield());
            const auto sixth = co_await client.call({.left = 0, .right = 0});
            CHECK_IN_TASK(code_of(sixth) == Errc::no_place);
            if (!sixth) CHECK_IN_TASK(sixth.error().b == 5);
        };
        const auto answers_backwards = [](Scheduler&, Adder::Server& server) -> Task<> {
            for (int round = 0; round < 4; ++round) {
                std::array<std::optional<Adder::Call>, 5> calls;
                for (auto& call : calls) {
                    WEIR_CO_TRY(auto taken, server.next().within(10s));
                    call.emplace(std::move(taken));
                }
                CHECK_IN_TASK(server.calls() == 5);
                for (std::size_t i = calls.size(); i-- > 0;)
                    calls[i]->reply({.sum = std::int64_t{(*calls[i])->left} + (*calls[i])->right});
            }
        };
        const auto asks_often = [=](Scheduler& in, Adder::Client& client) -> Task<> {
            for (int round = 0; round < 4; ++round) WEIR_CO_CHECK(with_group<8>(in, asks, std::ref(client)));
        };
        WEIR_CO_TRY(auto pair, pair_of(of, place, {.calls_max = 5}));
        const auto both = co_await all_of(asks_often(of, pair.client), answers_backwards(of, pair.server));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("the deadline of a call goes with it, and its end cancels the call at the server") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto serves = [](Scheduler& in, Adder::Server& server) -> Task<> {
            WEIR_CO_TRY(auto call, server.next().within(10s));
            CHECK_IN_TASK(call.deadline() <= after(in.now(), 5ms));
            CHECK_IN_TASK(call.deadline() > in.now() - 10s);
            CHECK_IN_TASK(!call.is_cancelled());
            WEIR_CO_CHECK(call.cancelled().within(10s));
            CHECK_IN_TASK(call.is_cancelled());
            call.reply({.sum = 666});  // nobody gets it
            WEIR_CO_TRY(auto next, server.next().within(10s));
            CHECK_IN_TASK(next->left == 2);
            CHECK_IN_TASK(next.deadline() == never);
            next.reply({.sum = 42});
        };
        const auto asks = [](Scheduler&, Adder::Client& client) -> Task<> {
            const auto late = co_await client.call({.left = 1, .right = 40}).within(5ms);
            CHECK_IN_TASK(code_of(late) == Errc::timed_out);
            // Its place is free when the server has let go of it.
            for (;;) {
                const auto reply = co_await client.call({.left = 2, .right = 40});
                if (code_of(reply) != Errc::no_place) {
                    CHECK_IN_TASK((reply && reply->sum == 42));
                    break;
                }
                WEIR_CO_CHECK(sleep_for(1ms));
            }
        };
        WEIR_CO_TRY(auto pair, pair_of(of, place, {.calls_max = 1}));
        const auto both = co_await all_of(serves(of, pair.server), asks(of, pair.client));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("a deadline given as an instant reaches the server as what is left of it") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto serves = [](Scheduler&, Adder::Server& server, Instant deadline) -> Task<> {
            WEIR_CO_TRY(auto call, server.next().within(10s));
            // Counted anew from when the server heard of it.
            CHECK_IN_TASK(call.deadline() >= deadline);
            CHECK_IN_TASK(call.deadline() < after(deadline, 10s));
            call.reply({.sum = 1});
        };
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        const Instant deadline = after(of.now(), 3s);
        const auto both = co_await all_of(pair.client.call({.left = 0, .right = 0}).by(deadline),
                                          serves(of, pair.server, deadline));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("a call that is stopped is cancelled at the server, and one that nobody has taken is never seen") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        {
            const auto arms = co_await first_of(sleep_for(1ms), pair.client.call({.left = 1, .right = 0}));
            CHECK_IN_TASK(code_of(arms.get<1>()) == Errc::cancelled);
        }
        const auto both = co_await all_of(ask(of, pair.client, 2), serve(of, pair.server, 1));
        CHECK_IN_TASK(both.has_value());
        {
            const auto takes = [](Scheduler&, Adder::Server& server) -> Task<> {
                WEIR_CO_TRY(auto call, server.next().within(10s));
                WEIR_CO_CHECK(call.cancelled().within(10s));
            };
            const auto stops = [](Scheduler&, Adder::Client& client) -> Task<> {
                const auto arms =
                    co_await first_of(sleep_for(1ms), client.call({.left = 1, .right = 0}).within(10s));
                CHECK_IN_TASK(code_of(arms.get<1>()) == Errc::cancelled);
            };
            const auto stopped = co_await all_of(takes(of, pair.server), stops(of, pair.client));
            CHECK_IN_TASK(stopped.has_value());
        }
    });
}

TEST_CASE("a reply that arrived before the deadline of its call wins over it") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        const auto answers_and_stops_both = [](Scheduler&, Adder::Server& server) -> Task<> {
            WEIR_CO_TRY(auto call, server.next().within(10s));
            call.reply({.sum = 7});
        };
        auto arms = co_await first_of(answers_and_stops_both(of, pair.server),
                                      pair.client.call({.left = 1, .right = 0}));
        CHECK_IN_TASK(arms.get<0>().has_value());
        CHECK_IN_TASK((arms.get<1>() && arms.get<1>()->sum == 7));
    });
}

TEST_CASE("a server rejects with a status, and a call that it drops rejects itself") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto rejects = [](Scheduler&, Adder::Server& server) -> Task<> {
            {
                WEIR_CO_TRY(auto call, server.next().within(10s));
                call.reject(4'000'000'000);
            }
            { WEIR_CO_TRY(auto dropped, server.next().within(10s)); }
            {
                WEIR_CO_TRY(auto call, server.next().within(10s));
                call.finish();  // it is no stream
            }
            WEIR_CO_TRY(auto first, server.next().within(10s));
            first = Adder::Call(std::move(first));
            first.reply({.sum = 1});
        };
        const auto asks = [](Scheduler&, Adder::Client& client) -> Task<> {
            for (const std::uint64_t status : {4'000'000'000ULL, 0ULL, 0ULL}) {
                const auto reply = co_await client.call({.left = 1, .right = 2}).within(10s);
                CHECK_IN_TASK(code_of(reply) == Errc::rejected);
                if (!reply) CHECK_IN_TASK(reply.error().a == status);
            }
            const auto reply = co_await client.call({.left = 1, .right = 2}).within(10s);
            CHECK_IN_TASK(reply.has_value());
        };
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        const auto both = co_await all_of(rejects(of, pair.server), asks(of, pair.client));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("clients beyond the limit, of other types, or of something else are turned away") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place, {.clients_max = 1}));
        const auto second = co_await Adder::Client::open(of, adder, place.opened()).within(10s);
        CHECK_IN_TASK(code_of(second) == Errc::no_place);
        if (!second) CHECK_IN_TASK(second.error().b == 1);
        using Other = ipc::Service<AddReply, AddRequest>;
        const auto other = co_await Other::Client::open(of, adder, place.opened()).within(10s);
        CHECK_IN_TASK(code_of(other) == Errc::mismatch);
        const auto rival = Adder::Server::create(of, adder, place.served());
        CHECK_IN_TASK(code_of(rival) == Errc::in_use);
        pair.client.close();
        WEIR_CO_TRY(auto next, Adder::Client::open(of, adder, place.opened()).within(10s));
        const auto both = co_await all_of(ask(of, next, 2), serve(of, pair.server, 1));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("a client takes no more memory than it wants to, whatever the server's bounds are") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto server,
                    Adder::Server::create(of, adder, place.served({.calls_max = 64, .window = 64})));
        const auto small =
            co_await Adder::Client::open(of, adder, place.opened({.memory_max = 16 * 1024})).within(10s);
        CHECK_IN_TASK((code_of(small) == Errc::too_large && small.error().a > 64 * 64 * sizeof(AddReply)));
        if (!small) CHECK_IN_TASK(small.error().b == 16 * 1024);
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, place.opened()).within(10s));
        const auto both = co_await all_of(ask(of, client, 2), serve(of, server, 1));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("bounds that cannot be are refused") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        for (const ipc::ServiceOptions& bad :
             {ipc::ServiceOptions{.clients_max = 0}, ipc::ServiceOptions{.clients_max = 1'025},
              ipc::ServiceOptions{.calls_max = 0}, ipc::ServiceOptions{.calls_max = 4'097},
              ipc::ServiceOptions{.window = 0}, ipc::ServiceOptions{.window = 257}}) {
            const auto created = Adder::Server::create(of, adder, place.served(bad));
            CHECK_IN_TASK(code_of(created) == Errc::invalid);
        }
        struct Large {
            std::byte bytes[1 << 20];
        };
        using Heavy = ipc::Service<Large, AddReply>;
        const auto large =
            Heavy::Server::create(of, adder, place.served({.clients_max = 100, .calls_max = 1'000}));
        CHECK_IN_TASK(code_of(large) == Errc::too_large);
        Adder::Server server;
        const auto taken = co_await server.next();
        CHECK_IN_TASK(code_of(taken) == Errc::closed);
        Adder::Client client;
        const auto reply = co_await client.call({.left = 1, .right = 1});
        CHECK_IN_TASK(code_of(reply) == Errc::closed);
    });
}

TEST_CASE("clients take turns, so that one with many calls does not keep the others waiting") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto asks = [](Scheduler& in, Group& calls, Adder::Client& many, Adder::Client& few,
                             Adder::Server& server) -> Task<> {
            for (std::int32_t i = 0; i < 8; ++i) WEIR_CO_CHECK(calls.spawn(ask(in, many, 100 + i)));
            WEIR_CO_CHECK(yield());
            for (std::int32_t i = 0; i < 2; ++i) WEIR_CO_CHECK(calls.spawn(ask(in, few, i)));
            WEIR_CO_CHECK(yield());
            int served_before = 0;
            int few_served = 0;
            for (int i = 0; i < 10; ++i) {
                WEIR_CO_TRY(auto call, server.next().within(10s));
                if (call->left < 100)
                    ++few_served;
                else if (few_served < 2)
                    ++served_before;
                call.reply({.sum = std::int64_t{call->left} + call->right});
            }
            CHECK_IN_TASK(few_served == 2);
            CHECK_IN_TASK(served_before <= 3);
        };
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        WEIR_CO_TRY(auto few, Adder::Client::open(of, adder, place.opened()).within(10s));
        WEIR_CO_CHECK(with_group<16>(of, asks, std::ref(pair.client), std::ref(few), std::ref(pair.server)));
    });
}

TEST_CASE("several tasks may take calls of one server, and each call goes to one of them") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto works = [](Scheduler&, Adder::Server& server, int& served) -> Task<> {
            while (served < 40) {
                auto call = co_await server.next().within(1s);
                if (!call) break;
                WEIR_CO_CHECK(yield());
                call->reply({.sum = std::int64_t{(*call)->left} + (*call)->right});
                ++served;
            }
            server.close();
        };
        const auto asks = [](Scheduler& in, Adder::Client& client) -> Task<> {
            for (std::int32_t i = 0; i < 10; ++i)
                WEIR_CO_CHECK(all_of(ask(in, client, i), ask(in, client, 1'000 + i),
                                     ask(in, client, 2'000 + i), ask(in, client, 3'000 + i)));
        };
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        int served = 0;
        const auto all = co_await all_of(works(of, pair.server, served), works(of, pair.server, served),
                                         works(of, pair.server, served), asks(of, pair.client));
        CHECK_IN_TASK(all.has_value());
        CHECK_IN_TASK(served == 40);
    });
}

TEST_CASE("when the server closes, its calls end, and those in hand answer nobody") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto closes = [](Scheduler&, Adder::Server& server) -> Task<> {
            WEIR_CO_TRY(auto call, server.next().within(10s));
            server.close();
            CHECK_IN_TASK(call.is_cancelled());
            WEIR_CO_CHECK(call.cancelled());
            call.reply({.sum = 1});
            const auto none = co_await server.next();
            CHECK_IN_TASK(code_of(none) == Errc::closed);
        };
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        const auto all = co_await all_of(closes(of, pair.server), ask_in_vain(of, pair.client, Errc::ended),
                                         ask_in_vain(of, pair.client, Errc::ended), pair.client.lost());
        CHECK_IN_TASK(all.has_value());
        CHECK_IN_TASK(!pair.client.attached());
        const auto after = co_await pair.client.call({.left = 1, .right = 1});
        CHECK_IN_TASK(code_of(after) == Errc::ended);
    });
}

TEST_CASE("what a server answered before it closed arrives, and a waiting taker learns of the close") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        const auto answers = [](Scheduler& in, Adder::Server& server) -> Task<> {
            WEIR_CO_CHECK(serve(in, server, 1));
            server.close();
        };
        const auto takes = [](Scheduler&, Adder::Server& server) -> Task<> {
            const auto call = co_await server.next();
            CHECK_IN_TASK(code_of(call) == Errc::closed);
        };
        const auto all =
            co_await all_of(answers(of, pair.server), takes(of, pair.server), ask(of, pair.client, 3));
        CHECK_IN_TASK(all.has_value());
    });
}

TEST_CASE("a client that closes cancels its calls, and its place is another's") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        const auto closes = [](Scheduler&, Adder::Client& client, Adder::Server& server) -> Task<> {
            WEIR_CO_TRY(auto call, server.next().within(10s));
            client.close();
            WEIR_CO_CHECK(call.cancelled().within(10s));
            CHECK_IN_TASK(server.clients() == 0);
            CHECK_IN_TASK(server.calls() == 1);
            call.reply({.sum = 1});
            CHECK_IN_TASK(server.calls() == 0);
        };
        WEIR_CO_TRY(auto pair, pair_of(of, place, {.clients_max = 1}));
        const auto all =
            co_await all_of(closes(of, pair.client, pair.server), ask_in_vain(of, pair.client, Errc::closed),
                            ask_in_vain(of, pair.client, Errc::closed));
        CHECK_IN_TASK(all.has_value());
        WEIR_CO_TRY(auto next, Adder::Client::open(of, adder, place.opened()).within(10s));
        const auto both = co_await all_of(ask(of, next, 2), serve(of, pair.server, 1));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("calls that outlive their client take the place of others, who are told") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place, {.clients_max = 1, .calls_max = 2}));
        std::optional<Adder::Call> kept;
        const auto keeps = [](Scheduler&, Adder::Client& client, Adder::Server& server,
                              std::optional<Adder::Call>& place_of) -> Task<> {
            WEIR_CO_TRY(auto call, server.next().within(10s));
            client.close();
            WEIR_CO_CHECK(call.cancelled().within(10s));
            place_of.emplace(std::move(call));
        };
        const auto kept_one = co_await all_of(keeps(of, pair.client, pair.server, kept),
                                              ask_in_vain(of, pair.client, Errc::closed));
        CHECK_IN_TASK(kept_one.has_value());
        WEIR_CO_TRY(auto next, Adder::Client::open(of, adder, place.opened()).within(10s));
        const auto three = co_await all_of(ask(of, next, 1), ask_in_vain(of, next, Errc::no_place),
                                           serve(of, pair.server, 1));
        CHECK_IN_TASK(three.has_value());
        kept.reset();
        CHECK_IN_TASK(pair.server.calls() == 0);
        const auto again = co_await all_of(ask(of, next, 1), ask(of, next, 2), serve(of, pair.server, 2));
        CHECK_IN_TASK(again.has_value());
    });
}
