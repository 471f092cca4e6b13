// SPDX-License-Identifier: MIT
//
// Several schedulers in one process talk as processes do.
#include <weir/weir.hpp>

#include "running.hpp"
#include "support/skip.hpp"

#include <array>
#include <thread>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

const std::uint32_t rounds = repeats(500);

Task<> asks(Scheduler&, UnixStream peer, std::uint32_t& answered) {
    for (std::uint32_t i = 0; i < rounds; ++i) {
        WEIR_CO_CHECK(peer.write_all(bytes_of(i)));
        std::uint32_t answer = 0;
        WEIR_CO_CHECK(peer.read_exactly(writable_bytes_of(answer)));
        CHECK_IN_TASK(answer == i + 1);
        answered = i + 1;
    }
}
Task<> answers(Scheduler&, UnixStream peer) {
    for (;;) {
        std::uint32_t question = 0;
        const auto got = co_await peer.read_exactly(writable_bytes_of(question));
        if (!got && got.error() == Errc::ended) co_return;
        WEIR_CO_CHECK(got);
        ++question;
        WEIR_CO_CHECK(peer.write_all(bytes_of(question)));
    }
}

TEST_CASE("schedulers in two threads talk through a stream") {
    if (on_simulated()) skip("simulated time stands still for other threads");
    auto ends = UnixStream::pair();
    REQUIRE(ends.has_value());
    Result<void> answered_all;
    std::thread other([stream = std::move(ends->second), &answered_all]() mutable {
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        const auto started = scheduler->start({.backend = *backend_choice(backend_name())});
        if (!started) {
            answered_all = started;
            return;
        }
        answered_all = scheduler->run(answers(*scheduler, std::move(stream)));
    });
    Running running;
    std::uint32_t answered = 0;
    const auto outcome = running.run(asks(*running, std::move(ends->first), answered));
    other.join();
    INFO(Running::text_of_error(answered_all));
    CHECK(outcome.has_value());
    CHECK(answered_all.has_value());
    CHECK(answered == rounds);
}

TEST_CASE("schedulers in one thread take turns, and a handle moves between them when released") {
    for_each_seed([](std::uint64_t seed) {
        Running first(seed);
        Running second(seed + 1);
        auto pipe = Pipe::create();
        REQUIRE(pipe.has_value());
        for (int round = 0; round < 5; ++round) {
            first.must_run([](Scheduler&, PipeWriter& writer) -> Task<> {
                WEIR_CO_CHECK(writer.write_all(bytes_of("turn")));
            }(*first, pipe->writer));
            second.must_run([](Scheduler&, PipeReader& reader) -> Task<> {
                std::array<std::byte, 4> buffer;
                WEIR_CO_TRY(const auto got, reader.read_exactly(buffer));
                CHECK_IN_TASK(text_of(got) == "turn");
            }(*second, pipe->reader));
            // Each end goes to the other scheduler.
            pipe->reader = PipeReader(Fd(pipe->reader.release()));
            pipe->writer = PipeWriter(Fd(pipe->writer.release()));
            CHECK(first->usage().descriptors == 0);
            CHECK(second->usage().descriptors == 0);
            std::swap(first, second);
        }
    });
}

}  // namespace
