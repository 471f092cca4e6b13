// SPDX-License-Identifier: MIT
//
// Services whose processes live in control groups, and what a group's memory limit does to them.
#include "service_pair.hpp"

#include "io/victim.hpp"
#include "support/memory_group.hpp"

#include <array>
#include <optional>

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;

struct Block {
    std::uint64_t number;
    std::array<std::uint64_t, 511> words;  // 4 KiB with the number
};
using Copier = ipc::Service<Block, Block>;
constexpr ipc::ServiceName copier{"test/copier"};
/// What is shared with a client, in each direction, is far beyond what a group is allowed after it has attached.
constexpr std::uint32_t calls_max = 4'096;
static_assert(calls_max * sizeof(Block) >= 2 * memory_headroom);
constexpr std::uint64_t rounds = 6;
constexpr std::size_t enough_for_a_client = 4 * calls_max * sizeof(Block);

Block block_of(std::uint64_t number) noexcept {
    Block block{.number = number, .words = {}};
    block.words.fill(~number);
    return block;
}
bool whole(const Block& block, std::uint64_t number) noexcept {
    return block.number == number && block.words.front() == ~number && block.words.back() == ~number;
}

/// Limited to `more` from its first call on.
Task<> copy(Scheduler& scheduler, const Place& place, const MemoryGroup& group, std::size_t more) {
    group.join();
    const ipc::ServiceOptions options{.clients_max = 2, .calls_max = calls_max, .window = 1};
    WEIR_CO_TRY(auto server, Copier::Server::create(scheduler, copier, place.served(options)));
    for (bool limited = false;; limited = true) {
        WEIR_CO_TRY(auto call, server.next());
        if (!limited) group.allow_more(more);
        call.reply(*call);
    }
}

Task<> ask_for_copy(Scheduler&, Copier::Client& client, std::uint64_t number) {
    WEIR_CO_TRY(const auto reply, client.call(block_of(number)).within(60s));
    if (!whole(reply, number)) co_return co_await fail(Errc::corrupt, "a call", number, reply.number);
}
Task<Copier::Stream> begin_copy(Scheduler&, Copier::Client& client, std::uint64_t number) {
    WEIR_CO_TRY(auto stream, client.stream(block_of(number)));
    co_return stream;
}
Task<> end_copy(Scheduler&, Copier::Stream& stream, std::uint64_t number) {
    WEIR_CO_TRY(const auto part, stream.next().within(60s));
    if (!whole(part, number)) co_return co_await fail(Errc::corrupt, "a part", number, part.number);
    const auto end = co_await stream.next().within(60s);
    if (code_of(end) != Errc::ended) co_return co_await fail(Errc::corrupt, "the end of a stream", number);
}

/// Limited after its first call. All its calls are in flight at one time, so that every place is used.
Task<> ask_for_copies(Scheduler& scheduler, const Place& place, const MemoryGroup& group, int say_to) {
    static std::array<std::optional<Copier::Stream>, calls_max> streams;
    group.join();
    WEIR_CO_TRY(auto client, Copier::Client::open(scheduler, copier, place.opened()).within(60s));
    WEIR_CO_CHECK(ask_for_copy(scheduler, client, 0));
    group.allow_more(memory_headroom);
    for (std::uint64_t round = 0; round < rounds; ++round) {
        for (std::uint32_t i = 0; i < calls_max; ++i) {
            WEIR_CO_TRY(auto stream, begin_copy(scheduler, client, round * calls_max + i));
            streams[i].emplace(std::move(stream));
        }
        for (std::uint32_t i = 0; i < calls_max; ++i) {
            WEIR_CO_CHECK(end_copy(scheduler, *streams[i], round * calls_max + i));
            streams[i].reset();
        }
    }
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
}

Task<> serve(Scheduler& scheduler, const Place& place, int say_to) {
    WEIR_CO_TRY(auto server, Adder::Server::create(scheduler, adder, place.served({.clients_max = 4})));
    say(say_to);
    for (;;) {
        WEIR_CO_TRY(auto call, server.next());
        call.reply({.sum = std::int64_t{call->left} + call->right});
    }
}

/// Answers one call, and has another one in hand when it ends.
Task<> serve_and_exceed(Scheduler& scheduler, const Place& place, const MemoryGroup& group, int say_to) {
    group.join();
    WEIR_CO_TRY(auto server, Adder::Server::create(scheduler, adder, place.served({.clients_max = 4})));
    say(say_to);
    WEIR_CO_TRY(auto answered, server.next());
    WEIR_CO_TRY(auto kept, server.next());
    answered.reply({.sum = 42});
    group.exceed();
}

/// Has a call in flight when it ends.
Task<> call_and_exceed(Scheduler& scheduler, const Place& place, const MemoryGroup& group) {
    group.join();
    WEIR_CO_TRY(auto client, Adder::Client::open(scheduler, adder, place.opened()).within(30s));
    const auto exceeds = [](Scheduler&, const MemoryGroup& limited) -> Task<> {
        WEIR_CO_CHECK(sleep_for(1ms));
        limited.exceed();
    };
    WEIR_CO_CHECK(all_of(client.call({.left = 1, .right = 1}), exceeds(scheduler, group)));
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

TEST_CASE("at the memory limits of both sides, set once a client is attached, no call needs a page more") {
    skip_where_simulated();
    skip_without_memory_groups();
    skip_where_pages_come_late();
    const Place place;
    const MemoryGroup of_server;
    const MemoryGroup of_client;
    Victim server([&](Scheduler& in, int) { return copy(in, place, of_server, memory_headroom); });
    Victim client([&](Scheduler& in, int say_to) { return ask_for_copies(in, place, of_client, say_to); });
    client.wait_until_it_says();
    CHECK(of_server.killed() == 0);
    CHECK(of_client.killed() == 0);
}

TEST_CASE("a server that the kernel ends at its memory limit is lost after its last reply, and succeeded") {
    skip_where_simulated();
    skip_without_memory_groups();
    const Place place;
    const MemoryGroup group;
    std::optional<Victim> server;
    server.emplace([&](Scheduler& in, int say_to) { return serve_and_exceed(in, place, group, say_to); });
    server->wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, std::optional<Victim>& victim) -> Task<> {
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.reconnecting()).within(30s));
        WEIR_CO_CHECK(all_of(ask_well(of, client, 41), ask(of, client, 2, Errc::peer_lost)));
        {
            const HeapPermit permit;
            victim.emplace([&](Scheduler& in, int say_to) { return serve(in, where, say_to); });
            victim->wait_until_it_says();
        }
        WEIR_CO_CHECK(ask_well(of, client, 7));
        CHECK_IN_TASK(client.restarts() == 1);
    }(*running, place, server));
    CHECK(group.killed() == 1);
}

TEST_CASE("a client that the kernel ends at its memory limit has its calls cancelled, and no other notices") {
    skip_where_simulated();
    skip_without_memory_groups();
    const Place place;
    const MemoryGroup group;
    Victim victim([&](Scheduler& in, int) { return call_and_exceed(in, place, group); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        WEIR_CO_TRY(auto server, Adder::Server::create(of, adder, where.served({.clients_max = 4})));
        WEIR_CO_TRY(auto lost, server.next().within(30s));
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(30s));
        const auto asks = [](Scheduler& in, Adder::Client& by) -> Task<> {
            for (std::int32_t i = 0; i < 50; ++i) WEIR_CO_CHECK(ask_well(in, by, i));
        };
        WEIR_CO_CHECK(
            all_of(weir::test::serve(of, server, 50), asks(of, client), lost.cancelled().within(30s)));
        CHECK_IN_TASK(server.clients() == 1);
        CHECK_IN_TASK(server.breaches() == 0);
    }(*running, place));
    CHECK(group.killed() == 1);
}

TEST_CASE("a server that admits a client beyond its memory limit is ended, and its successor serves both") {
    skip_where_simulated();
    skip_without_memory_groups();
    const Place place;
    const MemoryGroup group;
    const MemoryGroup of_next;
    std::optional<Victim> server;
    server.emplace([&](Scheduler& in, int) { return copy(in, place, group, memory_headroom); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, const MemoryGroup& limited,
                        const MemoryGroup& for_next, std::optional<Victim>& victim) -> Task<> {
        WEIR_CO_TRY(auto client, Copier::Client::open(of, copier, where.reconnecting()).within(30s));
        WEIR_CO_CHECK(ask_for_copy(of, client, 0));
        const auto opens = [](Scheduler& in, const Place& at, Copier::Client& first) -> Task<> {
            // Waits until there is a server again.
            WEIR_CO_TRY(auto other, Copier::Client::open(in, copier, at.opened()).within(60s));
            WEIR_CO_CHECK(ask_for_copy(in, other, 1));
            WEIR_CO_CHECK(ask_for_copy(in, first, 2));
        };
        const auto succeeds = [](Scheduler&, const Place& at, const MemoryGroup& of_dead,
                                 const MemoryGroup& of_living, std::optional<Victim>& whom) -> Task<> {
            for (;;) {
                WEIR_CO_CHECK(sleep_for(1ms));
                const HeapPermit permit;
                if (of_dead.killed() == 0) continue;
                whom.emplace(
                    [&](Scheduler& in, int) { return copy(in, at, of_living, enough_for_a_client); });
                co_return;
            }
        };
        WEIR_CO_CHECK(all_of(opens(of, where, client), succeeds(of, where, limited, for_next, victim)));
        CHECK_IN_TASK(client.restarts() == 1);
    }(*running, place, group, of_next, server));
    CHECK(group.killed() == 1);
    CHECK(of_next.killed() == 0);
}
