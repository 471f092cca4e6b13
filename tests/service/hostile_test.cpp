// SPDX-License-Identifier: MIT
//
// Peers that break the protocol: clients against a server, a server against its clients, and one under another user that
// scribbles over all that it can write to.
#include "service_place.hpp"

#include "io/victim.hpp"

#include <random>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using namespace weir::ipc::service;
using ipc::ring::MachineAtomics;
using Words = ipc::ring::Words<MachineAtomics>;

constexpr std::uint32_t calls_max = 4;
constexpr std::uint32_t window = 2;
constexpr Shape shape = Adder::shape(calls_max, window);

template <class T>
const std::byte* bytes(const T& object) {
    return static_cast<const std::byte*>(static_cast<const void*>(&object));
}

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
Task<> ask(Scheduler&, Adder::Client& client, std::int32_t left) {
    WEIR_CO_TRY(const auto reply, client.call({.left = left, .right = 40}).within(10s));
    CHECK_IN_TASK(reply.sum == left + 40);
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

/// A server that writes whatever it likes.
struct HostileServer {
    static Result<ipc::LinkGrant> on_admit(void* owner, ipc::Link& link) noexcept {
        auto& self = *static_cast<HostileServer*>(owner);
        WEIR_TRY(self.region, ipc::Region::create(self.size, "hostile"));
        WEIR_TRY(self.mapping, self.region.map_writable());
        if (const auto sealed = self.region.seal(); !sealed) return failure(sealed.error());
        ::new (static_cast<void*>(self.mapping.data())) Head(self.head);
        ::new (static_cast<void*>(self.mapping.data() + Shape::server_writes)) Words();
        ::new (static_cast<void*>(self.mapping.data() + Shape::server_reads)) Words();
        self.link = &link;
        return ipc::LinkGrant{.region = &self.region,
                              .own = {self.mapping.data(), self.mapping.size()},
                              .client_size = static_cast<std::size_t>(shape.client_bytes())};
    }
    static void fill_region(void*, ipc::Link&, Bytes region) noexcept {
        ::new (static_cast<void*>(region.data() + Shape::client_writes)) Words();
        ::new (static_cast<void*>(region.data() + Shape::client_reads)) Words();
    }
    static void on_attached(void* owner, ipc::Link& link) noexcept {
        auto& self = *static_cast<HostileServer*>(owner);
        self.slots = {};
        self.port = {shape, self.mapping.data(), link.peer().data(), self.slots};
        self.attached = true;
    }
    static void on_signal(void* owner, ipc::Link& link) noexcept {
        if (link.state() == ipc::LinkState::attached) return;
        auto& self = *static_cast<HostileServer*>(owner);
        self.attached = false;
        self.link = nullptr;
        link.close();
    }
    static constexpr ipc::LinkHooks hooks{
        .on_admit = on_admit, .fill_region = fill_region, .on_attached = on_attached, .on_signal = on_signal};

    void say(FromServer kind, std::uint32_t index, std::uint32_t generation, std::uint64_t value = 0) {
        CHECK_IN_TASK(port.writer.put({.index = static_cast<std::uint16_t>(index),
                                       .kind = static_cast<std::uint16_t>(kind),
                                       .generation = generation,
                                       .value = value}));
    }
    void tell() {
        std::ignore = port.writer.publish_lightly();
        link->ring_bell();
    }

    std::size_t size = static_cast<std::size_t>(shape.server_bytes());
    Head head{.window = window, .reply_size = sizeof(AddReply)};
    ipc::LinkServer server;
    ipc::Region region;
    ipc::Mapping mapping;
    ipc::Link* link = nullptr;
    std::array<ServerSlot, calls_max> slots{};
    ServerPort<MachineAtomics> port;
    bool attached = false;
};

Task<> expect_corrupt(Scheduler&, Adder::Client& client) {
    const auto reply = co_await client.call({.left = 1, .right = 1}).within(10s);
    CHECK_IN_TASK(code_of(reply) == Errc::corrupt);
}
Task<> expect_corrupt_stream(Scheduler&, Adder::Client& client) {
    WEIR_CO_TRY(auto stream, client.stream({.left = 1, .right = 1}));
    for (;;) {
        const auto part = co_await stream.next().within(10s);
        if (part) continue;
        CHECK_IN_TASK(part.error() == Errc::corrupt);
        break;
    }
}

using ServerMisdeed = void (*)(HostileServer&);

/// The misdeed, done to a call at index 0 and a stream at index 1, ends both with corrupt.
void check_broken_off(ServerMisdeed misdeed) {
    for_each_seed([&](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run([](Scheduler& of, const Place& where, ServerMisdeed deed) -> Task<> {
            HostileServer hostile;
            WEIR_CO_TRY(hostile.server,
                        ipc::LinkServer::create(of, adder, Adder::terms(calls_max), HostileServer::hooks,
                                                &hostile, where.served().link));
            WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(10s));
            const auto does = [](Scheduler&, HostileServer& server, ServerMisdeed what) -> Task<> {
                WEIR_CO_CHECK(sleep_for(1ms));
                what(server);
            };
            WEIR_CO_CHECK(all_of(expect_corrupt(of, client), expect_corrupt_stream(of, client),
                                 does(of, hostile, deed)));
            CHECK_IN_TASK(!client.attached());
            const auto after = co_await client.call({.left = 1, .right = 1});
            CHECK_IN_TASK(code_of(after) == Errc::corrupt);
        }(*running, place, misdeed));
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

TEST_CASE("a request that is no value of its type turns its client out, and such a reply ends the service") {
    struct Flag {
        bool set;
    };
    using Flags = ipc::Service<Flag, Flag>;
    for_each_seed([&](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run([](Scheduler& of, const Place& where) -> Task<> {
            WEIR_CO_TRY(auto server, Flags::Server::create(of, adder, where.served()));
            WEIR_CO_TRY(auto client, Flags::Client::open(of, adder, where.opened()).within(10s));
            const auto lies = [](Scheduler&, Flags::Client& caller) -> Task<> {
                Flag flag{};
                const unsigned char nonsense = 2;
                std::memcpy(&flag, &nonsense, 1);
                const auto reply = co_await caller.call(flag).within(10s);
                // The server hangs up on whoever breaks the rules.
                CHECK_IN_TASK((code_of(reply) == Errc::ended || code_of(reply) == Errc::peer_lost));
            };
            const auto takes = [](Scheduler&, Flags::Server& of_both) -> Task<> {
                const auto call = co_await of_both.next().within(5ms);
                CHECK_IN_TASK(code_of(call) == Errc::timed_out);
            };
            WEIR_CO_CHECK(all_of(lies(of, client), takes(of, server)));
            CHECK_IN_TASK(server.breaches() == 1);

            WEIR_CO_TRY(auto next, Flags::Client::open(of, adder, where.opened()).within(10s));
            const auto asks = [](Scheduler&, Flags::Client& caller) -> Task<> {
                const auto reply = co_await caller.call({.set = true}).within(10s);
                CHECK_IN_TASK(code_of(reply) == Errc::corrupt);
            };
            const auto streams = [](Scheduler&, Flags::Client& caller) -> Task<> {
                WEIR_CO_TRY(auto stream, caller.stream({.set = true}));
                const auto part = co_await stream.next().within(10s);
                CHECK_IN_TASK(code_of(part) == Errc::corrupt);
            };
            const auto replies = [](Scheduler&, Flags::Server& of_both) -> Task<> {
                WEIR_CO_TRY(auto call, of_both.next().within(10s));
                Flag flag{};
                const unsigned char nonsense = 77;
                std::memcpy(&flag, &nonsense, 1);
                call.reply(flag);
            };
            WEIR_CO_CHECK(all_of(asks(of, next), replies(of, server)));
            WEIR_CO_CHECK(next.attach().within(10s));
            WEIR_CO_CHECK(all_of(streams(of, next), replies(of, server)));
        }(*running, place));
    });
}

TEST_CASE("a server whose memory is not what it says is refused") {
    for_each_seed([](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run([](Scheduler& of, const Place& where) -> Task<> {
            struct Case {
                std::size_t size;
                Head head;
                std::uint32_t calls_said;
            };
            const Head right{.window = window, .reply_size = sizeof(AddReply)};
            for (const Case& bad :
                 {Case{64, {}, calls_max},
                  Case{static_cast<std::size_t>(shape.server_bytes()),
                       {.window = 0, .reply_size = 8},
                       calls_max},
                  Case{static_cast<std::size_t>(shape.server_bytes()),
                       {.window = ~0U, .reply_size = 8},
                       calls_max},
                  Case{static_cast<std::size_t>(shape.server_bytes()),
                       {.window = window, .reply_size = 9},
                       calls_max},
                  Case{static_cast<std::size_t>(shape.server_bytes()) - 8, right, calls_max},
                  Case{static_cast<std::size_t>(shape.server_bytes()), right, calls_max + 1},
                  Case{static_cast<std::size_t>(shape.server_bytes()), right, 0},
                  Case{static_cast<std::size_t>(shape.server_bytes()), right, ~0U}}) {
                HostileServer hostile;
                hostile.size = std::max<std::size_t>(bad.size, Shape::server_entries);
                hostile.head = bad.head;
                auto terms = Adder::terms(bad.calls_said);
                terms.depth = bad.calls_said;
                WEIR_CO_TRY(hostile.server, ipc::LinkServer::create(of, adder, terms, HostileServer::hooks,
                                                                    &hostile, where.served().link));
                const auto client = co_await Adder::Client::open(of, adder, where.opened()).within(10s);
                CHECK_IN_TASK(code_of(client) == Errc::mismatch);
            }
        }(*running, place));
    });
}

TEST_CASE("a server that says what makes no sense is left, and its calls end with corrupt") {
    check_broken_off([](HostileServer& server) {
        server.port.writer.advance(shape.entries_of_server() + 1);
        server.tell();
    });
    check_broken_off([](HostileServer& server) {
        server.say(FromServer::reply, calls_max, 1);
        server.tell();
    });
    check_broken_off([](HostileServer& server) {
        server.say(FromServer::reply, 0, 2);
        server.tell();
    });
    check_broken_off([](HostileServer& server) {
        server.say(FromServer::reply, 2, 1);  // nobody called
        server.tell();
    });
    check_broken_off([](HostileServer& server) {
        server.say(static_cast<FromServer>(0), 0, 1);
        server.tell();
    });
    check_broken_off([](HostileServer& server) {
        server.say(FromServer::part, 0, 1);  // no stream
        server.tell();
    });
    check_broken_off([](HostileServer& server) {
        server.say(FromServer::finish, 0, 1);
        server.tell();
    });
    check_broken_off([](HostileServer& server) {
        for (std::uint32_t i = 0; i < window + 1; ++i) server.say(FromServer::part, 1, 1);
        server.tell();
    });
}

TEST_CASE("an answer that comes twice is the end, and what came first counts") {
    for_each_seed([](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run([](Scheduler& of, const Place& where) -> Task<> {
            HostileServer hostile;
            WEIR_CO_TRY(hostile.server,
                        ipc::LinkServer::create(of, adder, Adder::terms(calls_max), HostileServer::hooks,
                                                &hostile, where.served().link));
            WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(10s));
            const auto answers = [](Scheduler&, HostileServer& server) -> Task<> {
                WEIR_CO_CHECK(sleep_for(1ms));
                const AddReply reply{.sum = 42};
                std::memcpy(server.mapping.data() + shape.reply_place(0, 0), bytes(reply), sizeof(reply));
                server.say(FromServer::reply, 0, 1);
                server.say(FromServer::reply, 0, 1);
                server.tell();
            };
            const auto asks = [](Scheduler&, Adder::Client& caller) -> Task<> {
                const auto reply = co_await caller.call({.left = 1, .right = 1}).within(10s);
                CHECK_IN_TASK((reply && reply->sum == 42));
            };
            WEIR_CO_CHECK(all_of(asks(of, client), answers(of, hostile)));
            CHECK_IN_TASK(!client.attached());
        }(*running, place));
    });
}

TEST_CASE("a server that answers calls without reading them is left when there is no room for another") {
    for_each_seed([](std::uint64_t seed) {
        const Place place;
        Running running(seed);
        running.must_run([](Scheduler& of, const Place& where) -> Task<> {
            HostileServer hostile;
            WEIR_CO_TRY(hostile.server,
                        ipc::LinkServer::create(of, adder, Adder::terms(calls_max), HostileServer::hooks,
                                                &hostile, where.served().link));
            WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(10s));
            const auto rejects = [](Scheduler&, HostileServer& server, std::uint32_t generation) -> Task<> {
                WEIR_CO_CHECK(yield());
                server.say(FromServer::reject, 0, generation, 5);
                server.tell();
            };
            const auto asks = [](Scheduler&, Adder::Client& caller, Errc expected) -> Task<> {
                const auto reply = co_await caller.call({.left = 1, .right = 1}).within(10s);
                CHECK_IN_TASK(code_of(reply) == expected);
            };
            for (std::uint32_t i = 1; i <= shape.entries_of_client(); ++i)
                WEIR_CO_CHECK(all_of(asks(of, client, Errc::rejected), rejects(of, hostile, i)));
            WEIR_CO_CHECK(asks(of, client, Errc::corrupt));
            CHECK_IN_TASK(!client.attached());
        }(*running, place));
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
