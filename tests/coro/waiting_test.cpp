// SPDX-License-Identifier: MIT
//
// What mutex, semaphore, event and channel share: first come, first served; a stop while waiting; a grant that a later
// stop does not take back.
#include <weir/coro/channel.hpp>
#include <weir/coro/deadline.hpp>
#include <weir/coro/event.hpp>
#include <weir/coro/join.hpp>
#include <weir/coro/mutex.hpp>
#include <weir/coro/semaphore.hpp>
#include <weir/coro/sleep.hpp>

#include "support/catch.hpp"
#include "support/said.hpp"

#include "bare_context.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using weir::all_of;
using weir::Channel;
using weir::Duration;
using weir::Errc;
using weir::Event;
using weir::first_of;
using weir::Mutex;
using weir::Semaphore;
using weir::Task;
using weir::test::BareContext;
using weir::test::said;

namespace {

Task<> locks(BareContext&, Mutex& mutex, std::string& order, char name) {
    for (int i = 0; i < 3; ++i) {
        WEIR_CO_TRY(auto lock, mutex.lock());
        order += name;
        WEIR_CO_CHECK(weir::yield());
        order += name;
    }
}

}  // namespace

TEST_CASE("a mutex serves its waiters in order and nobody overtakes") {
    BareContext context;
    const auto root = [](BareContext& of, std::string& order) -> Task<> {
        Mutex mutex;
        WEIR_CO_CHECK(
            all_of(locks(of, mutex, order, 'a'), locks(of, mutex, order, 'b'), locks(of, mutex, order, 'c')));
        CHECK(!mutex.locked());
    };
    std::string order;
    CHECK(context.run(root(context, order)));
    CHECK(order == "aabbccaabbccaabbcc");
}

TEST_CASE("a waiter for a mutex that is stopped or timed out leaves the others their turn") {
    BareContext context;
    const auto waits = [](BareContext&, Mutex& mutex, Duration limit, std::string& ended) -> Task<> {
        const auto lock = co_await mutex.lock().within(limit);
        ended = said(lock);
    };
    const auto root = [](BareContext& of, decltype(waits) wait) -> Task<> {
        Mutex mutex;
        std::string ended[3];
        const auto holds = [](BareContext&, Mutex& held) -> Task<> {
            WEIR_CO_TRY(auto lock, held.lock());
            WEIR_CO_CHECK(weir::sleep_for(10ms));
            lock.unlock();
            WEIR_CO_CHECK(weir::sleep_for(10ms));
        };
        WEIR_CO_CHECK(all_of(holds(of, mutex), wait(of, mutex, 5ms, ended[0]), wait(of, mutex, 1h, ended[1]),
                             wait(of, mutex, 7ms, ended[2])));
        CHECK(ended[0] == "timed out");
        CHECK(ended[1] == "value");
        CHECK(ended[2] == "timed out");
        CHECK(!mutex.locked());
    };
    CHECK(context.run(root(context, waits)));
    CHECK(context.idle());
}

TEST_CASE("a lock that was handed over before a stop is held after it") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        Mutex mutex;
        const auto hands_over = [](BareContext& inner, Mutex& held) -> Task<> {
            WEIR_CO_TRY(auto lock, held.lock());
            WEIR_CO_CHECK(weir::yield());
            lock.unlock();
            inner.stop();
        };
        const auto gets = [](BareContext&, Mutex& wanted, std::string& ended) -> Task<> {
            const auto lock = co_await wanted.lock().within(1s);
            ended = said(lock);
            CHECK(wanted.locked());
        };
        std::string ended;
        const auto both = co_await all_of(hands_over(of, mutex), gets(of, mutex, ended));
        CHECK(said(both) == "value");
        CHECK(ended == "value");
        CHECK(!mutex.locked());
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("a lock moves, and its mutex knows one holder") {
    BareContext context;
    const auto root = [](BareContext&) -> Task<> {
        Mutex mutex;
        WEIR_CO_TRY(auto lock, mutex.lock());
        weir::MutexLock other = std::move(lock);
        CHECK(mutex.locked());
        lock = std::move(other);
        other.unlock();
        CHECK(mutex.locked());
        const auto twice = co_await mutex.lock().within(1s);
        CHECK(said(twice) == "timed out");
        lock.unlock();
        lock.unlock();
        CHECK(!mutex.locked());
    };
    CHECK(context.run(root(context)));
}

namespace {

Task<> acquires(BareContext&, Semaphore& semaphore, std::string& order, char name) {
    WEIR_CO_CHECK(semaphore.acquire());
    order += name;
}

}  // namespace

TEST_CASE("a semaphore serves its waiters in order, as many as it has tokens") {
    BareContext context;
    const auto root = [](BareContext& of, std::string& order) -> Task<> {
        Semaphore semaphore(1);
        const auto releases = [](BareContext&, Semaphore& tokens, std::string& seen) -> Task<> {
            WEIR_CO_CHECK(weir::sleep_for(1ms));
            CHECK(seen == "a");
            CHECK(!tokens.try_acquire());
            tokens.release(2);
            CHECK(tokens.available() == 0);  // both were granted already
            CHECK(!tokens.try_acquire());
            WEIR_CO_CHECK(weir::sleep_for(1ms));
            CHECK(seen == "abc");
            tokens.release(3);
            CHECK(tokens.available() == 2);
        };
        WEIR_CO_CHECK(all_of(acquires(of, semaphore, order, 'a'), acquires(of, semaphore, order, 'b'),
                             acquires(of, semaphore, order, 'c'), acquires(of, semaphore, order, 'd'),
                             releases(of, semaphore, order)));
        CHECK(semaphore.try_acquire());
        CHECK(semaphore.try_acquire());
        CHECK(!semaphore.try_acquire());
    };
    std::string order;
    CHECK(context.run(root(context, order)));
    CHECK(order == "abcd");
}

TEST_CASE("no token is lost by stops and deadlines, whenever they come") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        Semaphore semaphore(0);
        const auto takes = [](BareContext&, Semaphore& tokens, Duration limit, int& had) -> Task<> {
            for (int i = 0; i < 100; ++i) {
                const auto got = co_await tokens.acquire().within(limit);
                if (got) ++had;
            }
        };
        const auto gives = [](BareContext&, Semaphore& tokens) -> Task<> {
            for (int i = 0; i < 60; ++i) {
                WEIR_CO_CHECK(weir::sleep_for(3us));
                tokens.release();
            }
        };
        int had = 0;
        WEIR_CO_CHECK(all_of(takes(of, semaphore, 2us, had), takes(of, semaphore, 3us, had),
                             takes(of, semaphore, 5us, had), gives(of, semaphore)));
        CHECK(had + static_cast<int>(semaphore.available()) == 60);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("an event wakes all who wait and stays set until it is reset") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        Event event;
        int woken = 0;
        const auto waits = [](BareContext&, Event& awaited, int& count) -> Task<> {
            WEIR_CO_CHECK(awaited.wait());
            ++count;
        };
        const auto sets = [](BareContext&, Event& awaited, int& count) -> Task<> {
            WEIR_CO_CHECK(weir::yield());
            awaited.set();
            awaited.set();
            CHECK(count == 0);  // waking queues, it does not run
        };
        WEIR_CO_CHECK(all_of(waits(of, event, woken), waits(of, event, woken), sets(of, event, woken)));
        CHECK(woken == 2);
        WEIR_CO_CHECK(waits(of, event, woken));
        event.reset();
        CHECK(!event.is_set());
        const auto timed = co_await event.wait().within(1ms);
        CHECK(said(timed) == "timed out");
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

namespace {

using Box = std::unique_ptr<int>;
using Boxes = Channel<Box, 3>;

Task<> sends(BareContext&, Boxes& channel, int from, int count) {
    for (int i = from; i < from + count; ++i) WEIR_CO_CHECK(channel.send(std::make_unique<int>(i)));
}
Task<> receives(BareContext&, Boxes& channel, std::vector<int>& got, Duration pause) {
    for (;;) {
        auto value = co_await channel.receive();
        if (!value && value.error() == Errc::ended) co_return;
        WEIR_CO_TRY(const auto box, std::move(value));
        got.push_back(*box);
        WEIR_CO_CHECK(weir::sleep_for(pause));
    }
}

}  // namespace

TEST_CASE("a channel keeps order, whether its sender or its receiver is the slower one") {
    BareContext context;
    const auto root = [](BareContext& of, Duration pause) -> Task<> {
        Boxes channel;
        std::vector<int> got;
        const auto sends_and_closes = [](BareContext& inner, Boxes& boxes) -> Task<> {
            WEIR_CO_CHECK(sends(inner, boxes, 0, 200));
            boxes.close();
        };
        WEIR_CO_CHECK(all_of(sends_and_closes(of, channel), receives(of, channel, got, pause)));
        CHECK(got.size() == 200);
        for (int i = 0; i < static_cast<int>(got.size()); ++i) CHECK(got[static_cast<std::size_t>(i)] == i);
        CHECK(channel.size() == 0);
    };
    CHECK(context.run(root(context, 0us)));
    CHECK(context.run(root(context, 1us)));
    CHECK(context.idle());
}

TEST_CASE("values inside a closed channel are received, then it has ended; senders are told at once") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        Boxes channel;
        WEIR_CO_CHECK(sends(of, channel, 1, 3));
        CHECK(channel.size() == 3);
        const auto closes = [](BareContext&, Boxes& boxes) -> Task<> {
            WEIR_CO_CHECK(weir::yield());
            boxes.close();
            boxes.close();
            CHECK(boxes.closed());
        };
        Box kept = std::make_unique<int>(4);
        const auto waited = co_await first_of(channel.send(kept), closes(of, channel));
        CHECK(said(waited.get<0>()) == "closed");
        CHECK(kept != nullptr);
        const auto late = co_await channel.send(kept);
        CHECK(said(late) == "closed");
        CHECK(kept != nullptr);
        for (int i = 1; i <= 3; ++i) {
            WEIR_CO_TRY(const auto box, channel.receive());
            CHECK(*box == i);
        }
        const auto ended = co_await channel.receive();
        CHECK(said(ended) == "ended by the peer");
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("receivers that wait when a channel closes get the end") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        Boxes channel;
        std::vector<int> got;
        const auto closes = [](BareContext&, Boxes& boxes) -> Task<> {
            WEIR_CO_CHECK(weir::sleep_for(1ms));
            boxes.close();
        };
        WEIR_CO_CHECK(
            all_of(receives(of, channel, got, 0s), receives(of, channel, got, 0s), closes(of, channel)));
        CHECK(got.empty());
    };
    CHECK(context.run(root(context)));
}

TEST_CASE("a send that fails leaves its value untouched, and no value is lost between deadlines") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        Boxes channel;
        std::vector<int> got;
        const auto sends_impatiently = [](BareContext&, Boxes& boxes) -> Task<> {
            for (int i = 0; i < 100;) {
                Box box = std::make_unique<int>(i);
                while (box != nullptr) {
                    const auto sent = co_await boxes.send(box).within(2us);
                    CHECK(said(sent) == (box == nullptr ? "value" : "timed out"));
                }
                ++i;
            }
            boxes.close();
        };
        const auto receives_impatiently = [](BareContext&, Boxes& boxes, std::vector<int>& values) -> Task<> {
            for (;;) {
                WEIR_CO_CHECK(weir::sleep_for(7us));
                const auto value = co_await boxes.receive().within(1us);
                if (value)
                    values.push_back(**value);
                else if (value.error() == Errc::ended)
                    co_return;
            }
        };
        WEIR_CO_CHECK(all_of(sends_impatiently(of, channel), receives_impatiently(of, channel, got)));
        CHECK(got.size() == 100);
        for (int i = 0; i < static_cast<int>(got.size()); ++i) CHECK(got[static_cast<std::size_t>(i)] == i);
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("a temporary may be sent, at once and after a wait") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        Boxes channel;
        std::vector<int> got;
        const auto sends_temporaries = [](BareContext&, Boxes& boxes) -> Task<> {
            for (int i = 0; i < 20; ++i) {
                WEIR_CO_CHECK(boxes.send(std::make_unique<int>(i)));
                const auto plain = co_await boxes.send(std::make_unique<int>(i));
                CHECK(said(plain) == "value");
                WEIR_CO_CHECK(boxes.send(std::make_unique<int>(i)).within(1s));
            }
            boxes.close();
            const auto refused = co_await boxes.send(std::make_unique<int>(1));
            CHECK(said(refused) == "closed");
        };
        WEIR_CO_CHECK(all_of(sends_temporaries(of, channel), receives(of, channel, got, 1us)));
        CHECK(got.size() == 60);
        CHECK(std::is_sorted(got.begin(), got.end()));
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("what was handed to a receiver before a stop is its own") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        Boxes channel;
        const auto hands_over = [](BareContext& inner, Boxes& boxes) -> Task<> {
            WEIR_CO_CHECK(weir::yield());
            WEIR_CO_CHECK(boxes.send(std::make_unique<int>(5)));
            inner.stop();
        };
        const auto gets = [](BareContext&, Boxes& boxes, int& value) -> Task<> {
            const auto box = co_await boxes.receive();
            value = box ? **box : 0;
        };
        int value = 0;
        const auto both = co_await all_of(gets(of, channel, value), hands_over(of, channel));
        CHECK(said(both) == "value");
        CHECK(value == 5);
        const auto refused = co_await channel.receive();
        CHECK(said(refused) == "cancelled");
    };
    CHECK(context.run(root(context)));
    CHECK(context.idle());
}

TEST_CASE("several senders and receivers are each served in the order they came") {
    BareContext context;
    const auto root = [](BareContext& of) -> Task<> {
        Channel<int, 1> channel;
        std::vector<int> got;
        const auto sends_one = [](BareContext&, Channel<int, 1>& ints, int number) -> Task<> {
            WEIR_CO_CHECK(ints.send(number));
        };
        const auto drains = [](BareContext&, Channel<int, 1>& ints, std::vector<int>& values) -> Task<> {
            for (int i = 0; i < 5; ++i) {
                WEIR_CO_TRY(const int value, ints.receive());
                values.push_back(value);
            }
        };
        WEIR_CO_CHECK(all_of(sends_one(of, channel, 1), sends_one(of, channel, 2), sends_one(of, channel, 3),
                             sends_one(of, channel, 4), sends_one(of, channel, 5), drains(of, channel, got)));
        CHECK(got == std::vector<int>{1, 2, 3, 4, 5});
    };
    CHECK(context.run(root(context)));
}
