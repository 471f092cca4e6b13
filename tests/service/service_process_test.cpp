// SPDX-License-Identifier: MIT
//
// A service between processes, some of which are killed or stopped.
#include "service_pair.hpp"

#include "io/victim.hpp"
#include "shm/starved.hpp"

#include <atomic>

#include <sched.h>

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

/// Whoever runs on the processor of a process without work of its own is preempted by any other, at every bell.
void run_on_one_processor(bool idle) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
    if (!idle) ::sched_setaffinity(0, sizeof(one), &one);
    const sched_param none{};
    if (idle) ::sched_setscheduler(0, SCHED_IDLE, &none);
}

Task<> serve_one_at_a_time(Scheduler& scheduler, const Place& place, int say_to) {
    WEIR_CO_TRY(auto server,
                Adder::Server::create(scheduler, adder, place.served({.calls_max = 1, .window = 1})));
    say(say_to);
    for (;;) {
        WEIR_CO_TRY(auto call, server.next());
        WEIR_CO_CHECK(sleep_for(200us));
        call.reply({.sum = 1});
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

/// Reads one stream of `count` parts, says so after the first one and at its end.
Task<> read_stream(Scheduler& scheduler, const Place& place, std::int64_t count, int say_to) {
    WEIR_CO_TRY(auto client, Adder::Client::open(scheduler, adder, place.opened()).within(30s));
    WEIR_CO_TRY(auto stream, client.stream({.left = 0, .right = 0}));
    for (std::int64_t i = 0; i < count; ++i) {
        WEIR_CO_TRY(const auto part, stream.next().within(30s));
        if (part.sum != i) co_return co_await fail(Errc::corrupt, "a part");
        if (i == 0) say(say_to);
    }
    const auto end = co_await stream.next().within(30s);
    if (code_of(end) != Errc::ended) co_return co_await fail(Errc::corrupt, "the end of a stream");
    say(say_to);
    WEIR_CO_CHECK(sleep_for(1h));
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
        WEIR_CO_TRY(auto other, Adder::Client::open(of, adder, where.opened()).within(30s));
        WEIR_CO_CHECK(ask_well(of, client, 1));
        server.stop();
        for (int i = 0; i < 4; ++i) {
            const auto late = co_await client.call({.left = 1, .right = 1}).within(1ms);
            CHECK_IN_TASK(code_of(late) == Errc::timed_out);
        }
        const auto full = co_await client.call({.left = 1, .right = 1}).within(1ms);
        CHECK_IN_TASK(code_of(full) == Errc::no_place);
        const auto third = co_await Adder::Client::open(of, adder, where.opened()).within(1ms);
        CHECK_IN_TASK(code_of(third) == Errc::timed_out);
        const auto goes_on = [](Scheduler&, Victim& whom) -> Task<> {
            WEIR_CO_CHECK(sleep_for(5ms));
            whom.go_on();
        };
        // This one waits for as long as it takes.
        WEIR_CO_CHECK(all_of(ask_well(of, other, 9), goes_on(of, server)));
        for (;;) {
            const auto reply = co_await client.call({.left = 5, .right = 6}).within(30s);
            if (reply) {
                CHECK_IN_TASK(reply->sum == 11);
                break;
            }
            CHECK_IN_TASK(reply.error() == Errc::no_place);
            WEIR_CO_CHECK(sleep_for(1ms));
        }
        WEIR_CO_TRY(auto fourth, Adder::Client::open(of, adder, where.opened()).within(30s));
        WEIR_CO_CHECK(ask_well(of, fourth, 3));
    }(*running, place, victim));
}

TEST_CASE(
    "a client that is stopped keeps its stream waiting and nobody else, and then misses no part of it") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return read_stream(in, place, 20, say_to); });
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& reader) -> Task<> {
        WEIR_CO_TRY(auto server, Adder::Server::create(of, adder, where.served()));
        WEIR_CO_TRY(auto stream, server.next().within(30s));
        WEIR_CO_CHECK(stream.send({.sum = 0}));
        WEIR_CO_CHECK(readable(reader.told()).within(30s));
        reader.wait_until_it_says();
        reader.stop();
        std::int64_t next = 1;
        for (bool full = false; !full;) {
            const auto sent = co_await stream.send({.sum = next}).within(2ms);
            full = code_of(sent) == Errc::timed_out;
            if (!full) ++next;
        }
        CHECK_IN_TASK(next < 20);
        CHECK_IN_TASK(!stream.is_cancelled());
        const auto asks = [](Scheduler& in, Adder::Client& client) -> Task<> {
            for (std::int32_t i = 0; i < 50; ++i) WEIR_CO_CHECK(ask_well(in, client, i));
        };
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(30s));
        WEIR_CO_CHECK(all_of(weir::test::serve(of, server, 50), asks(of, client)));
        reader.go_on();
        while (next < 20) WEIR_CO_CHECK(stream.send({.sum = next++}).within(30s));
        stream.finish();
        WEIR_CO_CHECK(readable(reader.told()).within(30s));
    }(*running, place, victim));
    victim.wait_until_it_says();
}

TEST_CASE("without descriptors, on either side, no client attaches, and those that are attached are served") {
    skip_where_simulated();
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return serve(in, place, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& server) -> Task<> {
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(30s));
        const auto opens = [](Scheduler& in, const Place& at) -> Task<Adder::Client> {
            WEIR_CO_TRY(auto more, Adder::Client::open(in, adder, at.opened()).within(200ms));
            co_return more;
        };
        {
            const FilesUsedUp none;
            const auto more = co_await opens(of, where);
            CHECK_IN_TASK(code_of(more) == Errc::no_files);
            WEIR_CO_CHECK(ask_well(of, client, 7));
        }
        const auto asks = [](Scheduler& in, Adder::Client& first, std::atomic<bool>& enough) -> Task<> {
            while (!enough) {
                WEIR_CO_CHECK(ask_well(in, first, 8));
                WEIR_CO_CHECK(sleep_for(1ms));
            }
        };
        const auto tries = [](Scheduler& in, pid_t whom, auto open, const Place& at,
                              std::atomic<bool>& enough) -> Task<> {
            const auto refusals = co_await open_while_server_lacks_files(in, whom, open, at);
            enough = true;
            CHECK_IN_TASK((refusals && refusals->late > 0 && refusals->no_files > 0));
        };
        std::atomic<bool> enough{false};
        WEIR_CO_CHECK(all_of(asks(of, client, enough), tries(of, server.pid(), opens, where, enough)));
    }(*running, place, victim));
}

TEST_CASE(
    "without memory, or room in its directory, no service is made and nothing is left, and later one is") {
    if (on_simulated()) skip("what the kernel refuses is asked for once, on a real backend");
    check_starved(false, [](Scheduler& scheduler, const ipc::RuntimeDirectory& directory) {
        const ipc::ServiceOptions options{.link = {.directory = &directory}};
        return code_of(Adder::Server::create(scheduler, adder, options));
    });
}

TEST_CASE("a server that can map no more tells its client so, and lets it in when it can") {
    skip_where_simulated();
    if (!AddressesUsedUp::possible()) skip("RLIMIT_AS limits nothing here: an emulator, or a sanitizer");
    const Place place;
    Victim victim([&](Scheduler& in, int say_to) { return serve(in, place, say_to); });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where, Victim& server) -> Task<> {
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(30s));
        const auto opens = [](Scheduler& in, const Place& at) -> Task<Adder::Client> {
            WEIR_CO_TRY(auto more, Adder::Client::open(in, adder, at.opened()).within(30s));
            co_return more;
        };
        WEIR_CO_CHECK(open_while_server_lacks_memory(of, server.pid(), opens, where));
        WEIR_CO_CHECK(ask_well(of, client, 4));
    }(*running, place, victim));
}

TEST_CASE("a server that has no pages for another client tells it so") {
    skip_where_simulated();
    const Place place;
    bool forbidden = false;
    {
        const auto asked = run_in_child([] { return forbid_call(SYS_fallocate, ENOSPC) ? 0 : 1; });
        forbidden = asked.exit_status == 0;
    }
    if (!forbidden) skip("no seccomp filters here");
    Victim victim([&](Scheduler& in, int say_to) {
        std::ignore = forbid_call(SYS_fallocate, ENOSPC);
        return serve(in, place, say_to);
    });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        for (int i = 0; i < 2; ++i) {
            const auto client = co_await Adder::Client::open(of, adder, where.opened()).within(30s);
            CHECK_IN_TASK(code_of(client) == Errc::no_memory);
        }
    }(*running, place));
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

TEST_CASE("a server that is preempted right after it rang is not taken for one that breaks the rules") {
    skip_where_simulated();
    cpu_set_t before;
    REQUIRE(::sched_getaffinity(0, sizeof(before), &before) == 0);
    run_on_one_processor(false);
    const Place place;
    // Inherits the processor. Late cancels, requests and their cancels come together.
    Victim victim([&](Scheduler& in, int say_to) -> Task<> {
        run_on_one_processor(true);
        return serve_one_at_a_time(in, place, say_to);
    });
    victim.wait_until_it_says();
    Running running;
    running.must_run([](Scheduler& of, const Place& where) -> Task<> {
        WEIR_CO_TRY(auto client, Adder::Client::open(of, adder, where.opened()).within(30s));
        for (int i = 0; i < 20'000; ++i) {
            const auto reply = co_await client.call({.left = i, .right = 1}).within(Duration(i % 64 * 4us));
            const auto code = code_of(reply);
            CHECK_IN_TASK((reply || code == Errc::timed_out || code == Errc::no_place));
            if (code == Errc::corrupt) break;
            if (code == Errc::no_place) WEIR_CO_CHECK(sleep_for(20us));
        }
    }(*running, place));
    victim.kill();
    ::sched_setaffinity(0, sizeof(before), &before);
}
