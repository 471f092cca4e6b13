// SPDX-License-Identifier: MIT
//
// A program that uses a bit of everything: pipes, a group with children, combinators, deadlines, a shield, the objects
// between tasks. It uses no heap, and every error in it is its result.
#pragma once

#include <weir/weir.hpp>

#include <array>
#include <cstddef>

namespace weir::test {

inline Task<> serve_client(Scheduler&, PipeReader requests, PipeWriter replies, Mutex& mutex, int& total) {
    using namespace std::chrono_literals;
    for (;;) {
        std::array<std::byte, 16> request;
        const auto got = co_await requests.read_exactly(request).within(10s);
        if (!got && got.error() == Errc::ended) co_return;
        WEIR_CO_CHECK(got);
        {
            WEIR_CO_TRY(auto lock, mutex.lock());
            total += static_cast<int>(request[0]);
            WEIR_CO_CHECK(yield());
        }
        WEIR_CO_CHECK(replies.write_all(request).within(10s));
    }
}

inline Task<int> ask(Scheduler&, PipeWriter& requests, PipeReader& replies, int number) {
    std::array<std::byte, 16> message{};
    message[0] = static_cast<std::byte>(number);
    WEIR_CO_CHECK(requests.write_all(message));
    std::array<std::byte, 16> reply{};
    WEIR_CO_CHECK(replies.read_exactly(reply));
    co_return static_cast<int>(reply[0]);
}

inline Task<> converse(Scheduler& scheduler, PipeWriter requests, PipeReader replies,
                       Channel<int, 2>& answers) {
    using namespace std::chrono_literals;
    for (int number = 1; number <= 4; ++number) {
        WEIR_CO_TRY(auto first,
                    all_of(ask(scheduler, requests, replies, number).within(30s), sleep_for(1ms)));
        int answer = std::get<0>(first);
        WEIR_CO_CHECK(answers.send(answer));
    }
}

inline Task<> say_goodbye(Scheduler&, Event& goodbye) {
    using namespace std::chrono_literals;
    WEIR_CO_CHECK(sleep_for(1ms));
    goodbye.set();
}

inline Task<> add_up(Scheduler&, Channel<int, 2>& answers, int& sum) {
    for (;;) {
        const auto answer = co_await answers.receive();
        if (!answer && answer.error() == Errc::ended) co_return;
        WEIR_CO_CHECK(answer);
        sum += *answer;
    }
}

inline Task<> serve_all(Scheduler& scheduler, Group& group, Channel<int, 2>& answers, Mutex& mutex,
                        int& total) {
    {
        WEIR_CO_TRY(auto requests, Pipe::create());
        WEIR_CO_TRY(auto replies, Pipe::create());
        WEIR_CO_TRY(auto more_requests, Pipe::create());
        WEIR_CO_TRY(auto more_replies, Pipe::create());
        WEIR_CO_CHECK(group.spawn(
            serve_client(scheduler, std::move(requests.reader), std::move(replies.writer), mutex, total)));
        WEIR_CO_CHECK(group.spawn(serve_client(scheduler, std::move(more_requests.reader),
                                               std::move(more_replies.writer), mutex, total)));
        WEIR_CO_CHECK(all_of(
            converse(scheduler, std::move(requests.writer), std::move(replies.reader), answers),
            converse(scheduler, std::move(more_requests.writer), std::move(more_replies.reader), answers)));
    }
    answers.close();
}

/// The sum of all answers, 20, twice: as asked and as served.
inline Task<int> sample_service(Scheduler& scheduler) {
    using namespace std::chrono_literals;
    Channel<int, 2> answers;
    Mutex mutex;  // not in serve_all: children may outlive the body's frame
    int total = 0;
    int sum = 0;
    WEIR_CO_CHECK(
        all_of(with_group<4>(scheduler, serve_all, std::ref(answers), std::ref(mutex), std::ref(total)),
               add_up(scheduler, answers, sum)));
    Event goodbye;
    WEIR_CO_CHECK(shielded(10s, say_goodbye(scheduler, goodbye)));
    const auto first = co_await first_of(goodbye.wait(), sleep_for(1h));
    if (first.index() != 0) co_return co_await fail(Errc::invalid, "goodbye");
    co_return sum + total;
}

}  // namespace weir::test
