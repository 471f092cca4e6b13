// SPDX-License-Identifier: MIT
//
// Messaging: what topics and services do, done by a messaging library over ipc://.
//
// The load is written here once; a library gives it one class for each kind of socket. Each has a constructor
// (Context&, address), of which publishers and servers listen and the others dial, and of the following what its kind
// can do:
//
//   send(number)         a record of 64 bytes with that number, filled where the library keeps it
//   receive(record)      waits for one and copies it
//   try_receive(record)  false if none is there
//
// Both processes are made by a fork before either has a Context, and confined to their cores before that: a thread that
// the library starts stays on the core of its process. All of a process's sockets share one Context.
//
// A subscriber misses what was published before its connection was up, and what its publisher drops. So a publisher
// greets until all have heard it, and in the end says farewell until all have gone.

#pragma once

#include "ring.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace bench {

void prepare_messaging();
/// Removes the directory; fails when the library left more in it than the sockets.
void clean_up_messaging();

/// `ipc://` and a path in the fresh directory.
[[nodiscard]] const char* there_address() noexcept;
[[nodiscard]] const char* back_address() noexcept;

inline constexpr std::uint64_t greeting = 0;
inline constexpr std::uint64_t farewell = std::numeric_limits<std::uint64_t>::max();

/// What the processes of one program tell each other beside the library.
struct Attendance {
    std::atomic<std::uint32_t> subscribers{0};  // that have heard the publisher
    std::atomic<std::uint32_t> gone{0};         // those that have heard its farewell
    std::atomic<std::uint64_t> taken{0};        // samples, by all subscribers
    std::atomic<bool> over{false};              // the side that measures has all that it asked for
};
[[nodiscard]] Attendance& attendance() noexcept;

void pause_ms();
void wait_until_over();

/// In a process that serves: ends it when its parent ends.
void end_with_parent();
/// Calls `work` in this process and in `count` - 1 more.
void in_processes(std::uint32_t count, void (*work)());

void count_published(std::uint64_t samples) noexcept;
void report_taken_percent();

/// Some tens of milliseconds. The library's thread shares the publisher's core: batches much shorter than its turns there
/// would have a median that leaves them out.
inline constexpr std::size_t publish_batch = 262'144;
/// As in bench_service_weir.
inline constexpr std::size_t calls_batch = 16'384;
inline constexpr std::uint64_t calls_in_flight = 16;

// --- topics, one way

template <class Publisher, std::uint32_t subscribers>
void publish_all(Batches& batches) {
    typename Publisher::Context context;
    Publisher publisher(context, there_address());
    for (; attendance().subscribers.load() < subscribers; pause_ms()) publisher.send(greeting);
    std::uint64_t number = greeting;
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) publisher.send(++number);
    } while (batches.lap());
    for (; attendance().gone.load() < subscribers; pause_ms()) publisher.send(farewell);
    count_published(number * subscribers);
}

template <class Subscriber>
void take_all() {
    typename Subscriber::Context context;
    Subscriber subscriber(context, there_address());
    Record record;
    subscriber.receive(record);
    attendance().subscribers.fetch_add(1);
    std::uint64_t last = greeting;
    std::uint64_t taken = 0;
    std::uint64_t differences = 0;
    for (;;) {
        subscriber.receive(record);
        const std::uint64_t number = record.words[0];
        if (number == greeting) continue;
        if (number == farewell) break;
        differences |= difference(record, number);
        if (number <= last) differences |= 1;
        last = number;
        ++taken;
    }
    attendance().taken.fetch_add(taken);
    attendance().gone.fetch_add(1);
    check_record(differences);
}

template <class Subscriber, std::uint32_t subscribers>
void take_in_each(std::size_t) {
    in_processes(subscribers, take_all<Subscriber>);
}

template <class Publisher, class Subscriber, std::uint32_t subscribers>
constexpr RingSides one_way() {
    return {.cores = 2,
            .batch_operations = publish_batch,
            .prepare = prepare_messaging,
            .measure = publish_all<Publisher, subscribers>,
            .serve = take_in_each<Subscriber, subscribers>,
            .clean_up = clean_up_messaging,
            .report = report_taken_percent};
}

// --- topics, there and back

template <class Publisher, class Subscriber>
void ask_by_topics(Batches& batches) {
    typename Publisher::Context context;
    Publisher there(context, there_address());
    Subscriber back(context, back_address());
    Record answer;
    for (; !back.try_receive(answer); pause_ms()) there.send(greeting);
    std::uint64_t number = greeting;
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            there.send(++number);
            do back.receive(answer);
            while (answer.words[0] == greeting);  // further ones, before the first answer
            check_record(difference(answer, number));
        }
    } while (batches.lap());
    attendance().over.store(true);
}

template <class Publisher, class Subscriber>
void answer_by_topics(std::size_t operations) {
    end_with_parent();
    typename Publisher::Context context;
    Publisher back(context, back_address());
    Subscriber there(context, there_address());
    Record question;
    for (std::uint64_t number = greeting; number < operations;) {
        there.receive(question);
        if (question.words[0] != greeting) check_record(difference(question, ++number));
        back.send(question.words[0]);
    }
    wait_until_over();
}

template <class Publisher, class Subscriber>
constexpr RingSides there_and_back() {
    return {.cores = 1,
            .batch_operations = asleep_batch,
            .prepare = prepare_messaging,
            .measure = ask_by_topics<Publisher, Subscriber>,
            .serve = answer_by_topics<Publisher, Subscriber>,
            .clean_up = clean_up_messaging};
}

// --- services

template <class Client>
void call_one_by_one(Batches& batches) {
    typename Client::Context context;
    Client client(context, there_address());
    Record reply;
    std::uint64_t number = 0;
    batches.start();
    do {
        for (std::size_t i = 0; i < batches.batch_operations(); ++i) {
            client.send(++number);
            client.receive(reply);
            check_record(difference(reply, number));
        }
    } while (batches.lap());
    attendance().over.store(true);
}

template <class Server>
void answer_all(std::size_t operations) {
    end_with_parent();
    typename Server::Context context;
    Server server(context, there_address());
    Record question;
    for (std::size_t i = 0; i < operations; ++i) {
        server.receive(question);
        server.send(question.words[0]);
    }
    wait_until_over();
}

/// Both wait in the library, also on two cores.
template <class Client, class Server>
constexpr RingSides calls(std::size_t cores) {
    return {.cores = cores,
            .batch_operations = asleep_batch,
            .prepare = prepare_messaging,
            .measure = call_one_by_one<Client>,
            .serve = answer_all<Server>,
            .clean_up = clean_up_messaging};
}

/// Each library has a way of its own to have `calls_in_flight`.
constexpr RingSides many_calls(void (*measure)(Batches&), void (*serve)(std::size_t)) {
    return {.cores = 2,
            .batch_operations = calls_batch,
            .prepare = prepare_messaging,
            .measure = measure,
            .serve = serve,
            .clean_up = clean_up_messaging};
}

}  // namespace bench
