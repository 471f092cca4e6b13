// SPDX-License-Identifier: MIT
//
// A server and a client in two processes on every pair of backends, on one core and on two, that sleep at random, so that
// their waits begin and end at every distance from each other: calls, streams, cancels. A wait that its deadline ends
// although the peer did its part is a wake-up that was lost.
//
//     WEIR_SERVICE_STRESS_S   seconds for each of the pairs (default 0.2)
#include "service_place.hpp"

#include "io/restless.hpp"
#include "support/skip.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;
using std::chrono::microseconds;

constexpr std::int32_t parts_max = 9;
// Requests that the server keeps until they are cancelled, and the last one of all.
constexpr std::int32_t kept = -1;
constexpr std::int32_t farewell = -2;

struct Run {
    BackendChoice server;
    BackendChoice client;
    int cores;
    std::uint32_t seed;
    Duration span;
};

Task<> answer(Scheduler& scheduler, Adder::Call call, Random& random) {
    WEIR_CO_CHECK(dawdle(scheduler, random));
    if (call.is_streamed()) {
        for (std::int32_t i = 0; i < call->right; ++i) {
            const auto sent = co_await call.send({.sum = call->left + i}).within(patience);
            if (!sent && sent.error() == Errc::ended) co_return;  // its reader left
            if (!sent) co_return co_await fail(sent.error());
        }
        call.finish();
        co_return;
    }
    if (call->right == kept) {
        WEIR_CO_CHECK(call.cancelled().within(patience));
        co_return;
    }
    call.reply({.sum = std::int64_t{call->left} + call->right});
}

// Nothing but the client wakes this thread while all of these wait.
Task<> serve(Scheduler& scheduler, Adder::Server& server, std::uint32_t seed) {
    Random random(seed);
    for (;;) {
        auto call = co_await server.next();
        if (!call && call.error() == Errc::closed) co_return;
        WEIR_CO_TRY(auto taken, std::move(call));
        if (taken->right == farewell) {
            taken.reply({.sum = 0});
            server.close();
            co_return;
        }
        WEIR_CO_CHECK(answer(scheduler, std::move(taken), random));
    }
}
Task<> serve_all(Scheduler& scheduler, const Place& place, Run run) {
    WEIR_CO_TRY(auto server,
                Adder::Server::create(scheduler, adder, place.served({.calls_max = 4, .window = 2})));
    WEIR_CO_CHECK(all_of(serve(scheduler, server, run.seed), serve(scheduler, server, run.seed + 1),
                         serve(scheduler, server, run.seed + 2)));
}

Task<> call_until(Scheduler& scheduler, Adder::Client& client, std::uint32_t seed, Instant until,
                  std::uint32_t& answered) {
    Random random(seed);
    while (scheduler.now() < until) {
        const auto number = static_cast<std::int32_t>(random.below(1'000));
        const std::uint32_t choice = random.below(8);
        const Instant late = after(scheduler.now(), patience);
        if (choice == 0) {
            // Mostly too short, and whatever comes of it is right.
            const auto reply =
                co_await client.call({.left = number, .right = kept}).within(microseconds(random.below(100)));
            if (reply || (reply.error() != Errc::timed_out && reply.error() != Errc::no_place))
                co_return co_await fail(Errc::corrupt, "a call that is kept");
        } else if (choice == 1) {
            auto opened = co_await client.stream({.left = number, .right = parts_max});
            if (opened) {
                const auto parts = static_cast<std::int32_t>(random.below(parts_max + 1));
                for (std::int32_t i = 0; i < parts; ++i) {
                    const auto part = co_await opened->next().by(late);
                    if (!part) co_return co_await fail(part.error());
                    if (part->sum != number + i) co_return co_await fail(Errc::corrupt, "a part");
                    ++answered;
                }
            } else if (opened.error() != Errc::no_place) {
                co_return co_await fail(opened.error());
            }
        } else {
            const auto reply = co_await client.call({.left = number, .right = 1}).by(late);
            if (!reply && reply.error() != Errc::no_place) co_return co_await fail(reply.error());
            if (reply && reply->sum != number + 1) co_return co_await fail(Errc::corrupt, "a reply");
            if (reply) ++answered;
        }
        // The end of a wait looks once more, so a value too can be the deadline's.
        if (scheduler.now() >= late) co_return co_await fail(Errc::timed_out, "a wake-up");
        WEIR_CO_CHECK(dawdle(scheduler, random));
    }
}
Task<> call_all(Scheduler& scheduler, const Place& place, Run run) {
    WEIR_CO_TRY(auto client, Adder::Client::open(scheduler, adder, place.opened()).within(patience));
    const Instant until = after(scheduler.now(), run.span);
    std::uint32_t answered = 0;
    WEIR_CO_CHECK(all_of(call_until(scheduler, client, run.seed + 10, until, answered),
                         call_until(scheduler, client, run.seed + 20, until, answered),
                         call_until(scheduler, client, run.seed + 30, until, answered)));
    WEIR_CO_CHECK(client.call({.left = 0, .right = farewell}).within(patience));
    if (answered < 10) co_return co_await fail(Errc::ended, "before much was answered");
}

void stress(const Run& run) {
    INFO("server " << text(run.server) << ", client " << text(run.client) << " on " << run.cores
                   << " cores, seed " << run.seed);
    const Place place;
    const pid_t server = start_restless(run.cores, run.server, run.seed,
                                        [&](Scheduler& in) { return serve_all(in, place, run); });
    const pid_t client = start_restless(run.cores, run.client, run.seed,
                                        [&](Scheduler& in) { return call_all(in, place, run); });
    must_all_succeed({client, server});
}

void stress_on(int cores) {
    on_each_pair("WEIR_SERVICE_STRESS_S",
                 [cores](BackendChoice server, BackendChoice client, std::uint32_t seed, Duration span) {
                     stress({server, client, cores, seed, span});
                 });
}

}  // namespace

TEST_CASE("a server and a client on one core that sleep at random lose no wake-up, on any pair of backends") {
    if (!core_allowed(0)) skip("the first core is not allowed");
    stress_on(1);
}

TEST_CASE(
    "a server and a client on two cores that sleep at random lose no wake-up, on any pair of backends") {
    if (!core_allowed(0) || !core_allowed(1)) skip("two cores are not allowed");
    stress_on(2);
}
