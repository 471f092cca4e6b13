// SPDX-License-Identifier: MIT
#include "stream_joiner.hpp"

#include "loop_model.hpp"
#include "support/catch.hpp"
#include "support/totals.hpp"

#include <vector>

using namespace leak;
using Push = StreamJoiner::Push;

namespace {

Reading reading_of(std::size_t signal, std::uint64_t sequence, std::int64_t time_s, double value = 0) {
    return {.signal = static_cast<Signal>(signal),
            .labels = {},
            .sequence = sequence,
            .time_s = time_s,
            .value = value};
}

void push_all(StreamJoiner& joiner, std::uint64_t sequence, std::int64_t time_s) {
    for (std::size_t i = 0; i < signals_count; ++i) {
        CHECK(joiner.push(reading_of(i, sequence, time_s, static_cast<double>(time_s))) == Push::taken);
    }
}

void end_all(StreamJoiner& joiner) {
    for (std::size_t i = 0; i < signals_count; ++i) joiner.end(static_cast<Signal>(i));
}

std::vector<JoinedSample> taken_from(StreamJoiner& joiner) {
    std::vector<JoinedSample> samples;
    JoinedSample joined;
    while (joiner.next(joined)) samples.push_back(joined);
    return samples;
}

}  // namespace

TEST_CASE("streams that run ahead of each other at random are joined as they were") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        weir::test::totals().note_seed();
        LoopModel loop{{.seed = seed, .leak_at_s = 250}};
        std::vector<Sample> sent;
        for (int second = 0; second < 500; ++second) sent.push_back(loop.next());

        Noise noise{seed};
        StreamJoiner joiner{4};
        std::array<std::size_t, signals_count> positions{};
        std::vector<JoinedSample> received;
        while (!joiner.finished()) {
            const auto i = noise.index(signals_count);
            const auto signal = static_cast<Signal>(i);
            if (positions[i] == sent.size()) {
                joiner.end(signal);
            } else {
                const Sample& sample = sent[positions[i]];
                const Reading reading{signal, sample.labels, positions[i], sample.time_s, sample.values[i]};
                CHECK(joiner.expected_sequence(signal) == positions[i]);
                const auto outcome = joiner.push(reading);
                REQUIRE(outcome == (joiner.full(signal) && outcome == Push::full ? Push::full : Push::taken));
                if (outcome == Push::taken) ++positions[i];
            }
            for (const auto& joined : taken_from(joiner)) received.push_back(joined);
        }
        REQUIRE(received.size() == sent.size());
        for (std::size_t k = 0; k < sent.size(); ++k) {
            REQUIRE(received[k] ==
                    JoinedSample{.recording = 4, .sequence = k, .sample = sent[k], .missing = 0});
        }
        CHECK(joiner.troubles().none());
    }
}

TEST_CASE("a stream too far ahead is full until a sample has been made") {
    StreamJoiner joiner{0};
    for (std::uint64_t k = 0; k < StreamJoiner::ahead_max; ++k) {
        CHECK(joiner.push(reading_of(0, k, static_cast<std::int64_t>(k))) == Push::taken);
    }
    CHECK(joiner.full(Signal::accelerometer_1));
    const auto next = reading_of(0, StreamJoiner::ahead_max, 1'000);
    CHECK(joiner.push(next) == Push::full);
    for (std::size_t i = 1; i < signals_count; ++i) CHECK(joiner.push(reading_of(i, 0, 0)) == Push::taken);
    CHECK(taken_from(joiner).size() == 1);
    CHECK(joiner.push(next) == Push::taken);
    CHECK(joiner.troubles().none());
}

TEST_CASE("a missing reading is stood in for by the value before it") {
    StreamJoiner joiner{0};
    push_all(joiner, 0, 10);
    for (std::size_t i = 0; i < signals_count; ++i) {
        if (i != 2) joiner.push(reading_of(i, 1, 11, 11));
    }
    CHECK(joiner.push(reading_of(2, 1, 12, 12)) == Push::taken);
    const auto samples = taken_from(joiner);
    REQUIRE(samples.size() == 2);
    CHECK(samples[1].missing == 1u << 2);
    CHECK(samples[1].sample.time_s == 11);
    CHECK(samples[1].sample.values == SignalValues{11, 11, 10, 11, 11, 11, 11, 11});
    CHECK(joiner.troubles() == StreamJoiner::Troubles{.incomplete = 1});
}

TEST_CASE("an ended stream is not waited for, a reopened one is") {
    StreamJoiner joiner{0};
    push_all(joiner, 0, 10);
    joiner.end(Signal::flow);
    CHECK(joiner.push(reading_of(7, 1, 11)) == Push::ended);
    for (std::size_t i = 0; i < 7; ++i) joiner.push(reading_of(i, 1, 11, 11));
    auto samples = taken_from(joiner);
    REQUIRE(samples.size() == 2);
    CHECK(samples[1].missing == 1u << 7);

    joiner.reopen(Signal::flow);
    for (std::size_t i = 0; i < 7; ++i) joiner.push(reading_of(i, 2, 12, 12));
    CHECK(taken_from(joiner).empty());
    CHECK(joiner.expected_sequence(Signal::flow) == 1);
    joiner.push(reading_of(7, 1, 12, 12));
    samples = taken_from(joiner);
    REQUIRE(samples.size() == 1);
    CHECK(samples[0].missing == 0);
    CHECK(!joiner.finished());
    end_all(joiner);
    CHECK(joiner.finished());
}

TEST_CASE("a sample is dropped while a signal was never seen") {
    StreamJoiner joiner{0};
    joiner.end(Signal::current);
    for (std::size_t i = 0; i < signals_count; ++i) joiner.push(reading_of(i, 0, 5));
    CHECK(taken_from(joiner).empty());
    CHECK(joiner.troubles() == StreamJoiner::Troubles{.dropped = 1});
    CHECK(joiner.samples_count() == 0);
}

TEST_CASE("repeated, lost and backward readings are counted") {
    StreamJoiner joiner{0};
    push_all(joiner, 0, 10);
    CHECK(joiner.push(reading_of(0, 0, 10)) == Push::duplicated);
    CHECK(joiner.push(reading_of(0, 1, 9)) == Push::out_of_order);
    CHECK(joiner.push(reading_of(0, 4, 11, 11)) == Push::taken);
    for (std::size_t i = 1; i < signals_count; ++i) joiner.push(reading_of(i, 1, 11, 11));
    CHECK(taken_from(joiner).size() == 2);
    CHECK(joiner.troubles() == StreamJoiner::Troubles{.duplicated = 1, .lost = 2, .out_of_order = 1});
}

TEST_CASE("two readings at one time are two samples") {
    StreamJoiner joiner{0};
    push_all(joiner, 0, 10);
    push_all(joiner, 1, 10);
    const auto samples = taken_from(joiner);
    REQUIRE(samples.size() == 2);
    CHECK(samples[1].sequence == 1);
    CHECK(samples[1].sample.time_s == 10);
}
