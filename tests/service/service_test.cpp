// SPDX-License-Identifier: MIT
//
// Both sides of a service in one scheduler.
#include "service_place.hpp"

#include "io/running.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using Reconnect = ipc::ServiceClientOptions::Reconnect;

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
Task<Pair> pair_of(Scheduler& of, const Place& place, ipc::ServiceOptions options = {}) {
    WEIR_CO_TRY(auto server, Adder::Server::create(of, adder, place.served(options)));
    WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, place.opened()).within(10s));
    co_return Pair{std::move(server), std::move(client)};
}

Task<> serve(Scheduler&, Adder::Server& server, int count) {
    for (int i = 0; i < count; ++i) {
        WEIR_CO_TRY(auto call, server.next().within(10s));
        call.reply({.sum = std::int64_t{call->left} + call->right});
    }
}
Task<> ask(Scheduler&, Adder::Client& client, std::int32_t left) {
    WEIR_CO_TRY(const auto reply, client.call({.left = left, .right = 40}).within(10s));
    CHECK_IN_TASK(reply.sum == left + 40);
}
/// A call that ends with an error.
Task<> ask_in_vain(Scheduler&, Adder::Client& client, Errc expected) {
    const auto reply = co_await client.call({.left = 1, .right = 1}).within(10s);
    CHECK_IN_TASK(code_of(reply) == expected);
}

}  // namespace

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

// --- streams

namespace {

Task<> stream_parts(Scheduler&, Adder::Server& server, std::int32_t count) {
    WEIR_CO_TRY(auto call, server.next().within(10s));
    CHECK_IN_TASK(call.is_streamed());
    for (std::int32_t i = 0; i < count; ++i) WEIR_CO_CHECK(call.send({.sum = call->left + i}).within(10s));
    call.finish();
}
/// Reads parts from `first` up to the end, or up to `end`.
Task<> read_parts(Scheduler&, Adder::Stream& stream, std::int64_t first, std::int64_t end) {
    for (std::int64_t i = first; i < end; ++i) {
        WEIR_CO_TRY(const auto part, stream.next().within(10s));
        CHECK_IN_TASK(part.sum == i);
    }
}
Task<> expect_end(Scheduler&, Adder::Stream& stream, Errc code) {
    for (int i = 0; i < 2; ++i) {
        const auto none = co_await stream.next().within(10s);
        CHECK_IN_TASK(code_of(none) == code);
    }
}
Task<> read_stream(Scheduler& in, Adder::Client& client, std::int32_t first, std::int32_t count) {
    WEIR_CO_TRY(auto stream, client.stream({.left = first, .right = 0}));
    WEIR_CO_CHECK(read_parts(in, stream, first, std::int64_t{first} + count));
    WEIR_CO_CHECK(expect_end(in, stream, Errc::ended));
}

}  // namespace

TEST_CASE("a stream gives its parts in order, and then ends") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        for (const std::uint32_t window : {1U, 2U, 3U, 16U}) {
            WEIR_CO_TRY(auto pair, pair_of(of, place, {.calls_max = 3, .window = window}));
            for (const std::int32_t count : {0, 1, 5, 100}) {
                const auto all = co_await all_of(
                    read_stream(of, pair.client, 0, count), stream_parts(of, pair.server, count),
                    read_stream(of, pair.client, 1'000, count), stream_parts(of, pair.server, count));
                CHECK_IN_TASK(all.has_value());
            }
            CHECK_IN_TASK(pair.server.calls() == 0);
        }
    });
}

TEST_CASE(
    "a stream that nobody reads waits for room, and keeps neither other calls nor other clients waiting") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place, {.window = 2}));
        WEIR_CO_TRY(auto other, Adder::Client::open(of, adder, place.opened()).within(10s));
        WEIR_CO_TRY(auto stream, pair.client.stream({.left = 0, .right = 0}));
        WEIR_CO_TRY(auto call, pair.server.next().within(10s));
        WEIR_CO_CHECK(call.send({.sum = 0}));
        WEIR_CO_CHECK(call.send({.sum = 1}));
        const auto full = co_await call.send({.sum = 2}).within(1ms);
        CHECK_IN_TASK(code_of(full) == Errc::timed_out);
        WEIR_CO_CHECK(all_of(ask(of, pair.client, 1), ask(of, other, 1), serve(of, pair.server, 2)));
        const auto ends = [](Scheduler&, Adder::Call& streamed) -> Task<> {
            WEIR_CO_CHECK(streamed.send({.sum = 2}).within(10s));
            streamed.finish();
        };
        WEIR_CO_CHECK(all_of(ends(of, call), read_parts(of, stream, 0, 3)));
        WEIR_CO_CHECK(expect_end(of, stream, Errc::ended));
    });
}

TEST_CASE("a stream that is dropped is cancelled, and a part that waits for room learns of it") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place, {.calls_max = 1, .window = 1}));
        const auto sends = [](Scheduler&, Adder::Server& server) -> Task<> {
            WEIR_CO_TRY(auto call, server.next().within(10s));
            WEIR_CO_CHECK(call.send({.sum = 0}).within(10s));
            const auto more = co_await call.send({.sum = 1}).within(10s);
            CHECK_IN_TASK(code_of(more) == Errc::ended);
            CHECK_IN_TASK(call.is_cancelled());
            const auto again = co_await call.send({.sum = 1});
            CHECK_IN_TASK(code_of(again) == Errc::ended);
            call.finish();
            WEIR_CO_TRY(auto second, server.next().within(10s));
            WEIR_CO_CHECK(second.send({.sum = second->left}).within(10s));
            second.finish();
        };
        const auto drops = [](Scheduler&, Adder::Client& client) -> Task<> {
            {
                WEIR_CO_TRY(auto stream, client.stream({.left = 1, .right = 1}));
                WEIR_CO_CHECK(sleep_for(1ms));
                auto moved = std::move(stream);
                stream = std::move(moved);
            }
            for (;;) {
                auto next = co_await client.stream({.left = 5, .right = 0});
                if (!next && next.error() == Errc::no_place) {
                    WEIR_CO_CHECK(sleep_for(1ms));
                    continue;
                }
                WEIR_CO_TRY(auto stream, std::move(next));
                WEIR_CO_TRY(const auto part, stream.next().within(10s));
                CHECK_IN_TASK(part.sum == 5);
                break;
            }
        };
        const auto both = co_await all_of(sends(of, pair.server), drops(of, pair.client));
        CHECK_IN_TASK(both.has_value());
    });
}

TEST_CASE("a stream may be rejected after its first parts, and a plain reply to it is its only part") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        {
            WEIR_CO_TRY(auto stream, pair.client.stream({.left = 0, .right = 0}));
            WEIR_CO_TRY(auto call, pair.server.next().within(10s));
            WEIR_CO_CHECK(call.send({.sum = 0}));
            WEIR_CO_CHECK(call.send({.sum = 1}));
            call.reject(9);
            WEIR_CO_CHECK(read_parts(of, stream, 0, 2));
            const auto end = co_await stream.next().within(10s);
            CHECK_IN_TASK(code_of(end) == Errc::rejected);
            if (!end) CHECK_IN_TASK(end.error().a == 9);
        }
        {
            WEIR_CO_TRY(auto stream, pair.client.stream({.left = 0, .right = 0}, after(of.now(), 1s)));
            WEIR_CO_TRY(auto call, pair.server.next().within(10s));
            CHECK_IN_TASK(call.deadline() != never);
            call.reply({.sum = 77});
            WEIR_CO_CHECK(read_parts(of, stream, 77, 78));
            WEIR_CO_CHECK(expect_end(of, stream, Errc::ended));
        }
        const auto sends_parts = [](Scheduler&, Adder::Server& server) -> Task<> {
            WEIR_CO_TRY(auto call, server.next().within(10s));
            const auto sent = co_await call.send({.sum = 1});
            CHECK_IN_TASK(code_of(sent) == Errc::mismatch);
            call.reply({.sum = 41});
        };
        WEIR_CO_CHECK(all_of(ask(of, pair.client, 1), sends_parts(of, pair.server)));
    });
}

TEST_CASE("parts that arrived before the server closed are given out first") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        WEIR_CO_TRY(auto stream, pair.client.stream({.left = 0, .right = 0}));
        WEIR_CO_TRY(auto untouched, pair.client.stream({.left = 0, .right = 0}));
        WEIR_CO_TRY(auto call, pair.server.next().within(10s));
        for (std::int64_t i = 0; i < 3; ++i) WEIR_CO_CHECK(call.send({.sum = i}));
        pair.server.close();
        WEIR_CO_CHECK(pair.client.lost().within(10s));
        WEIR_CO_TRY(auto next, Adder::Server::create(of, adder, place.served()));
        WEIR_CO_CHECK(pair.client.attach().within(10s));
        WEIR_CO_CHECK(all_of(ask(of, pair.client, 1), serve(of, next, 1)));
        WEIR_CO_CHECK(read_parts(of, stream, 0, 3));
        WEIR_CO_CHECK(expect_end(of, stream, Errc::ended));
        pair.client.close();
        WEIR_CO_CHECK(expect_end(of, untouched, Errc::ended));
    });
}

TEST_CASE("one task at a time waits for the next part, and a stop takes nothing from the stream") {
    on_each([](Scheduler& of, const Place& place) -> Task<> {
        WEIR_CO_TRY(auto pair, pair_of(of, place));
        WEIR_CO_TRY(auto stream, pair.client.stream({.left = 0, .right = 0}));
        WEIR_CO_TRY(auto call, pair.server.next().within(10s));
        {
            const auto arms = co_await first_of(stream.next(), stream.next(), sleep_for(10s));
            CHECK_IN_TASK(arms.index() == 1);
            CHECK_IN_TASK(code_of(arms.get<1>()) == Errc::busy);
            CHECK_IN_TASK(code_of(arms.get<0>()) == Errc::cancelled);
        }
        const auto none = co_await stream.next().within(1ms);
        CHECK_IN_TASK(code_of(none) == Errc::timed_out);
        WEIR_CO_CHECK(call.send({.sum = 0}));
        WEIR_CO_CHECK(read_parts(of, stream, 0, 1));
        call.finish();
        WEIR_CO_CHECK(expect_end(of, stream, Errc::ended));
    });
}
