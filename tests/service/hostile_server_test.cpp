// SPDX-License-Identifier: MIT
//
// A server that breaks the protocol against its clients; and records of either side that are no values of their type.
#include "service_pair.hpp"

#include <array>
#include <cstring>
#include <new>

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
