// SPDX-License-Identifier: MIT
//
// Clients that break the protocol against a server, and one under another user that scribbles over all that it can write
// to.
#include "service_pair.hpp"

#include "io/victim.hpp"

#include <array>
#include <random>
#include <utility>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using namespace weir::ipc::service;
using ipc::ring::MachineAtomics;

constexpr std::uint32_t calls_max = 4;
constexpr std::uint32_t window = 2;
constexpr Shape shape = Adder::shape(calls_max, window);

/// A client that writes whatever it likes.
struct HostileClient {
    explicit HostileClient(ipc::LinkClient attached)
        : link(std::move(attached)), port(shape, link->own().data(), link->peer().data(), slots) {}

    void say(FromClient kind, std::uint32_t index, std::uint32_t generation, std::uint64_t value = 0) {
        CHECK_IN_TASK(port.writer.put({.index = static_cast<std::uint16_t>(index),
                                       .kind = static_cast<std::uint16_t>(kind),
                                       .generation = generation,
                                       .value = value}));
    }
    void tell() {
        std::ignore = port.writer.publish_lightly();
        link->ring_bell();
    }

    ipc::LinkClient link;
    std::array<ClientSlot, calls_max> slots{};
    ClientPort<MachineAtomics> port;
};

Task<> serve(Scheduler&, Adder::Server& server) {
    for (;;) {
        auto call = co_await server.next();
        if (!call) co_return;
        if (call->is_streamed()) {
            // One part, and the end whenever the client says that it took it.
            std::ignore = co_await call->send({.sum = 1});
            std::ignore = co_await call->send({.sum = 2});
            std::ignore = co_await call->send({.sum = 3}).within(1ms);
            call->finish();
            continue;
        }
        call->reply({.sum = std::int64_t{(*call)->left} + (*call)->right});
    }
}

/// A lambda that outlives it. No pointer to a function: its `this` were null, and g++ lets the frame refer to it.
class Misdeed {
public:
    template <class Deed>
    explicit Misdeed(const Deed& deed) noexcept
        : deed_(&deed), call_([](const void* what, Scheduler& in, HostileClient& client) {
              return (*static_cast<const Deed*>(what))(in, client);
          }) {}
    Task<> operator()(Scheduler& in, HostileClient& client) const { return call_(deed_, in, client); }

private:
    const void* deed_;
    Task<> (*call_)(const void*, Scheduler&, HostileClient&);
};

/// The misdeed ends the link of whoever does it, and nobody else's.
Task<> is_turned_out(Scheduler& of, const Place& place, Misdeed misdeed) {
    const auto misbehaves = [](Scheduler& in, const Place& where, Misdeed deed,
                               Adder::Server& server) -> Task<> {
        WEIR_CO_TRY(auto honest, Adder::Client::open(in, adder, where.opened()).within(10s));
        WEIR_CO_CHECK(ask(in, honest, 1));
        {
            WEIR_CO_TRY(auto attached,
                        ipc::open_link(adder, Adder::terms(0), where.opened().link).within(10s));
            HostileClient client(std::move(attached));
            WEIR_CO_CHECK(deed(in, client));
            while (client.link->state() == ipc::LinkState::attached) WEIR_CO_CHECK(sleep_for(1ms));
        }
        CHECK_IN_TASK(server.breaches() == 1);
        CHECK_IN_TASK(server.clients() == 1);
        for (std::int32_t i = 0; i < 10; ++i) WEIR_CO_CHECK(ask(in, honest, i));
        while (server.calls() > 0) WEIR_CO_CHECK(sleep_for(1ms));
        server.close();
    };
    WEIR_CO_TRY(auto server,
                Adder::Server::create(of, adder, place.served({.calls_max = calls_max, .window = window})));
    const auto all = co_await all_of(serve(of, server), misbehaves(of, place, misdeed, server));
    CHECK_IN_TASK(all.has_value());
}

template <class Deed>
void check_turned_out(const Deed& deed) {
    for_each_seed([&](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run(is_turned_out(*running, place, Misdeed(deed)));
    });
}

}  // namespace

TEST_CASE("a client whose cursor goes back or too far is turned out") {
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.port.writer.advance(shape.entries_of_client() + 1);
        client.tell();
        co_return;
    });
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.port.writer.advance(~0U);
        client.tell();
        co_return;
    });
}

TEST_CASE("a client that says what makes no sense is turned out") {
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(FromClient::request, calls_max, 1);
        client.tell();
        co_return;
    });
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(FromClient::request, 0, 2);
        client.tell();
        co_return;
    });
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(static_cast<FromClient>(0), 0, 0);
        client.tell();
        co_return;
    });
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(static_cast<FromClient>(5), 0, 0);
        client.tell();
        co_return;
    });
}

TEST_CASE("a client that begins a call twice, or cancels it twice, is turned out") {
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(FromClient::request, 0, 1);
        client.say(FromClient::request, 0, 1);
        client.tell();
        co_return;
    });
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(FromClient::request, 0, 1);
        client.say(FromClient::cancel, 0, 1);
        client.say(FromClient::cancel, 0, 1);
        client.tell();
        co_return;
    });
    // Also when its answer is long on its way.
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(FromClient::request, 0, 1);
        client.tell();
        WEIR_CO_CHECK(sleep_for(2ms));
        for (int i = 0; i < 2; ++i) {
            client.say(FromClient::cancel, 0, 1);
            client.tell();
        }
    });
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(FromClient::cancel, 0, 1);  // of a call that never was
        client.tell();
        co_return;
    });
}

TEST_CASE("a client that took more parts than it was sent, or none, is turned out") {
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(FromClient::request_streamed, 3, 1);
        client.tell();
        WEIR_CO_CHECK(sleep_for(1ms));
        client.say(FromClient::taken, 3, 1, window + 1);
        client.tell();
    });
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(FromClient::request_streamed, 3, 1);
        client.say(FromClient::taken, 3, 1, 0);
        client.tell();
        co_return;
    });
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        client.say(FromClient::request, 2, 1);
        client.say(FromClient::taken, 2, 1, ~std::uint64_t{0});
        client.tell();
        co_return;
    });
}

TEST_CASE("a client that calls again and again without taking the answers is turned out") {
    check_turned_out([](Scheduler&, HostileClient& client) -> Task<> {
        for (std::uint32_t generation = 1; client.link->state() == ipc::LinkState::attached; ++generation) {
            CHECK_IN_TASK(generation < 1'000);
            client.say(FromClient::request, 1, generation);
            client.tell();
            // The server has answered when its cursor has moved.
            for (std::uint32_t seen = client.port.reader.seen();
                 seen == client.port.reader.seen() && client.link->state() == ipc::LinkState::attached;) {
                std::ignore = client.port.reader.look(1);
                WEIR_CO_CHECK(sleep_for(10us));
            }
        }
    });
}

// --- one that scribbles

namespace {

/// Attaches again and again, and writes what it likes wherever it can: nonsense, and things that are nearly right.
Task<> scribble(Scheduler&, const Place& place, int say_to) {
    std::mt19937 random(7);
    const auto draw = [&](std::uint32_t below) { return static_cast<std::uint32_t>(random() % below); };
    bool said = false;
    for (;;) {
        auto attached = co_await ipc::open_link(adder, Adder::terms(0), place.opened().link).within(30s);
        if (!attached) {
            WEIR_CO_CHECK(sleep_for(1ms));
            continue;
        }
        if (!std::exchange(said, true)) say(say_to);
        HostileClient client(std::move(*attached));
        const Bytes own = client.link->own();
        while (client.link->state() == ipc::LinkState::attached) {
            for (int i = 0; i < 50; ++i) {
                switch (draw(8)) {
                    case 0:
                        own[draw(static_cast<std::uint32_t>(own.size()))] = static_cast<std::byte>(random());
                        break;
                    case 1:
                        for (std::byte& each : own.subspan(Shape::client_entries))
                            each = static_cast<std::byte>(random());
                        break;
                    case 2: client.port.writer.advance(draw(3)); break;
                    default:
                        std::ignore =
                            client.port.writer.put({.index = static_cast<std::uint16_t>(draw(calls_max)),
                                                    .kind = static_cast<std::uint16_t>(1 + draw(4)),
                                                    .generation = draw(4),
                                                    .value = draw(4)});
                }
                std::ignore = client.port.writer.publish_lightly();
                if (draw(4) == 0) client.link->ring_bell();
            }
            WEIR_CO_CHECK(yield());
        }
    }
}

}  // namespace

TEST_CASE("a stranger that scribbles over all that it can write to harms nobody else") {
    skip_where_simulated();
    const Place place;
    Victim stranger([&](Scheduler& in, int say_to) {
        become_a_stranger();
        return scribble(in, place, say_to);
    });
    const Duration span = hostile_span(1s);
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& hostile, Duration how_long) -> Task<> {
        auto options = where.served({.calls_max = calls_max, .window = window});
        options.link.mode = 0666;
        WEIR_CO_TRY(auto server, Adder::Server::create(of, adder, options));
        const auto asks = [](Scheduler& in, const Place& place_of, Adder::Server& serves, Victim& whom,
                             Instant until) -> Task<> {
            WEIR_CO_TRY(auto client, Adder::Client::open(in, adder, place_of.opened()).within(10s));
            WEIR_CO_CHECK(readable(whom.told()).within(30s));
            std::int32_t asked = 0;
            while (in.now() < until || serves.breaches() == 0) {
                WEIR_CO_CHECK(ask(in, client, ++asked));
                if (asked % 64 == 0) WEIR_CO_CHECK(sleep_for(1ms));
            }
            CHECK_IN_TASK(client.attached());
            whom.kill();
            serves.close();
        };
        const auto both = co_await all_of(serve(of, server), serve(of, server),
                                          asks(of, where, server, hostile, after(of.now(), how_long)));
        CHECK_IN_TASK(both.has_value());
    }(*running, place, stranger, span));
}
