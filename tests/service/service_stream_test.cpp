// SPDX-License-Identifier: MIT
//
// Calls that are answered in parts.
#include "service_pair.hpp"

namespace {

using namespace weir;
using namespace weir::test;
using namespace std::chrono_literals;

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
