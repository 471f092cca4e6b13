// SPDX-License-Identifier: MIT
#include <weir/io/pipe.hpp>

#include "running.hpp"
#include "support/child.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

std::byte pattern(std::size_t index) {
    return static_cast<std::byte>(index * 7 + index / 251);
}

Result<Pipe> filled_pipe() {
    WEIR_TRY(Pipe pipe, Pipe::create());
    std::array<char, 4096> bytes{};
    while (::write(pipe.writer.fd(), bytes.data(), bytes.size()) > 0) {}
    return pipe;
}

// --- reading

Task<> reads_what_is_there(Scheduler&) {
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    WEIR_CO_CHECK(pipe.writer.write_all(bytes_of("hello")));
    std::array<std::byte, 16> buffer;
    std::size_t size = 0;
    while (size < 5) {
        WEIR_CO_TRY(const auto got, pipe.reader.read(std::span(buffer).subspan(size)));
        CHECK_IN_TASK(got.data() == buffer.data() + size);
        CHECK_IN_TASK(!got.empty());
        size += got.size();
    }
    CHECK_IN_TASK(text_of(std::span(buffer).first(size)) == "hello");
}
TEST_CASE("read gives at least one byte of what is there") {
    on_each_seed(reads_what_is_there);
}

Task<> reads_the_end(Scheduler&) {
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    WEIR_CO_CHECK(pipe.writer.write_all(bytes_of("z")));
    pipe.writer.close();
    std::array<std::byte, 4> buffer;
    WEIR_CO_TRY(const auto last, pipe.reader.read(buffer));
    CHECK_IN_TASK(text_of(last) == "z");
    for (int i = 0; i < 3; ++i) {
        WEIR_CO_TRY(const auto end, pipe.reader.read(buffer));
        CHECK_IN_TASK(end.empty());
    }
}
TEST_CASE("read yields an empty span at the end of the stream, again and again") {
    on_each_seed(reads_the_end);
}

Task<> close_later(Scheduler&, PipeWriter writer) {
    WEIR_CO_CHECK(sleep_for(1ms));
    writer.close();
}
Task<> read_end_waiting(Scheduler&, PipeReader reader) {
    std::array<std::byte, 4> buffer;
    WEIR_CO_TRY(const auto end, reader.read(buffer));
    CHECK_IN_TASK(end.empty());
}
Task<> end_wakes_reader(Scheduler& scheduler) {
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    WEIR_CO_CHECK(all_of(read_end_waiting(scheduler, std::move(pipe.reader)),
                         close_later(scheduler, std::move(pipe.writer))));
}
TEST_CASE("the end of the stream wakes a waiting reader") {
    on_each_seed(end_wakes_reader);
}

Task<> reads_exactly_then_ends(Scheduler&) {
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    WEIR_CO_CHECK(pipe.writer.write_all(bytes_of("12345678")));
    pipe.writer.close();
    std::array<std::byte, 5> buffer;
    WEIR_CO_TRY(const auto whole, pipe.reader.read_exactly(buffer));
    CHECK_IN_TASK(text_of(whole) == "12345");
    const auto part = co_await pipe.reader.read_exactly(buffer);
    CHECK_IN_TASK(code_of(part) == Errc::ended);
    CHECK_IN_TASK(part.error().a == 3);
    CHECK_IN_TASK(text_of(std::span(buffer).first(3)) == "678");
    const auto nothing = co_await pipe.reader.read_exactly(buffer);
    CHECK_IN_TASK(code_of(nothing) == Errc::ended);
    CHECK_IN_TASK(nothing.error().a == 0);
    const auto empty = co_await pipe.reader.read_exactly({});
    CHECK_IN_TASK(empty.has_value());
}
TEST_CASE("read_exactly that meets the end says ended and how many bytes came") {
    on_each_seed(reads_exactly_then_ends);
}

Task<> times_out_with_count(Scheduler&) {
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    WEIR_CO_CHECK(pipe.writer.write_all(bytes_of("123")));
    std::array<std::byte, 8> buffer;
    const auto part = co_await pipe.reader.read_exactly(buffer).within(1ms);
    CHECK_IN_TASK(code_of(part) == Errc::timed_out);
    CHECK_IN_TASK(part.error().a == 3);
    CHECK_IN_TASK(text_of(std::span(buffer).first(3)) == "123");
    const auto none = co_await pipe.reader.read(buffer).within(100us);
    CHECK_IN_TASK(code_of(none) == Errc::timed_out);
    CHECK_IN_TASK(none.error().operation == std::string_view("pipe read"));
}
TEST_CASE("read_exactly that times out says how many bytes it has taken") {
    on_each_seed(times_out_with_count);
}

// --- writing

Task<> write_megabyte(Scheduler&, PipeWriter writer, ConstBytes bytes) {
    WEIR_CO_CHECK(writer.write_all(bytes));
    writer.close();
}
Task<> read_slowly(Scheduler&, PipeReader reader, Bytes into, std::size_t& total) {
    std::size_t rounds = 0;
    for (;;) {
        WEIR_CO_TRY(const auto got,
                    reader.read(into.subspan(total, std::min<std::size_t>(into.size() - total, 9'000))));
        total += got.size();
        if (got.empty() || total == into.size()) co_return;
        if (++rounds % 16 == 0) WEIR_CO_CHECK(sleep_for(20us));
    }
}
TEST_CASE("write_all brings a megabyte whole and in order past a slow reader") {
    std::vector<std::byte> sent(1 << 20);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = pattern(i);
    for_each_seed([&](std::uint64_t seed) {
        Running running(seed);
        std::vector<std::byte> received(sent.size());
        std::size_t total = 0;
        auto pipe = Pipe::create();
        REQUIRE(pipe.has_value());
        const auto outcome = running.run(
            [](Scheduler& scheduler, Pipe& ends, ConstBytes from, Bytes to, std::size_t& count) -> Task<> {
                WEIR_CO_CHECK(all_of(write_megabyte(scheduler, std::move(ends.writer), from),
                                     read_slowly(scheduler, std::move(ends.reader), to, count)));
            }(*running, *pipe, sent, received, total));
        CHECK(outcome.has_value());
        CHECK(total == sent.size());
        CHECK(received == sent);
    });
}

Task<> writes_in_part(Scheduler& scheduler, ConstBytes bytes) {
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    WEIR_CO_TRY(const std::size_t part, pipe.writer.write(bytes));
    CHECK_IN_TASK(part >= 1);
    CHECK_IN_TASK(part < bytes.size());
    // What did not fit is not there: everything written can be read, and no more.
    pipe.writer.close();
    std::size_t total = 0;
    std::array<std::byte, 4096> buffer;
    for (;;) {
        WEIR_CO_TRY(const auto got, pipe.reader.read(buffer));
        if (got.empty()) break;
        total += got.size();
    }
    CHECK_IN_TASK(total == part);
    static_cast<void>(scheduler);
}
TEST_CASE("write gives the count of what fitted") {
    const std::vector<std::byte> bytes(1 << 20);
    on_each_seed([&bytes](Scheduler& scheduler) { return writes_in_part(scheduler, bytes); });
}

Task<> write_all_timed_out(Scheduler&, ConstBytes bytes) {
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    const auto written = co_await pipe.writer.write_all(bytes).within(1ms);
    CHECK_IN_TASK(code_of(written) == Errc::timed_out);
    const std::uint64_t moved = written.error().a;
    pipe.writer.close();
    std::size_t total = 0;
    std::array<std::byte, 4096> buffer;
    for (;;) {
        WEIR_CO_TRY(const auto got, pipe.reader.read(buffer));
        if (got.empty()) break;
        total += got.size();
    }
    CHECK_IN_TASK(total == moved);
}
TEST_CASE("write_all that times out says how many bytes are in the pipe") {
    const std::vector<std::byte> bytes(1 << 20);
    on_each_seed([&bytes](Scheduler& scheduler) { return write_all_timed_out(scheduler, bytes); });
}

Task<> writes_to_nobody(Scheduler&) {
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    pipe.reader.close();
    const auto one = co_await pipe.writer.write(bytes_of("x"));
    CHECK_IN_TASK(code_of(one) == Errc::peer_lost);
    const auto all = co_await pipe.writer.write_all(bytes_of("xyz"));
    CHECK_IN_TASK(code_of(all) == Errc::peer_lost);
    CHECK_IN_TASK(all.error().a == 0);
}
TEST_CASE("writing without a reader is peer_lost, and no SIGPIPE kills") {
    on_each_seed(writes_to_nobody);
}

TEST_CASE("a program that weir started in does not die of SIGPIPE") {
    const auto end = run_in_child([] {
        ::signal(SIGPIPE, SIG_DFL);
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        const auto started = scheduler->start({.backend = *backend_choice(backend_name())});
        if (!started) return 2;
        auto pipe = Pipe::create();
        if (!pipe) return 3;
        pipe->reader.close();
        const auto outcome = scheduler->run([](Scheduler&, PipeWriter& writer) -> Task<> {
            WEIR_CO_CHECK(writer.write_all(bytes_of("x")));
        }(*scheduler, pipe->writer));
        return code_of(outcome) == Errc::peer_lost ? 0 : 1;
    });
    CHECK(end.signal == 0);
    CHECK(end.exit_status == 0);
}

Task<> wait_for_room(Scheduler&, PipeWriter writer, std::optional<Errc>& seen) {
    const auto written = co_await writer.write_all(bytes_of("x"));
    seen = code_of(written);
}
Task<> close_reader_later(Scheduler&, PipeReader reader) {
    WEIR_CO_CHECK(sleep_for(1ms));
    reader.close();
}
Task<> reader_goes(Scheduler& scheduler) {
    WEIR_CO_TRY(Pipe pipe, filled_pipe());
    std::optional<Errc> seen;
    WEIR_CO_CHECK(all_of(wait_for_room(scheduler, std::move(pipe.writer), seen),
                         close_reader_later(scheduler, std::move(pipe.reader))));
    CHECK_IN_TASK(seen == Errc::peer_lost);
}
TEST_CASE("a writer that waits for room learns that the reader went") {
    on_each_seed(reader_goes);
}

// --- one waiter in each direction

Task<> read_into(Scheduler&, PipeReader& reader, std::optional<Errc>& seen) {
    std::array<std::byte, 1> buffer;
    const auto got = co_await reader.read(buffer).within(2ms);
    seen = code_of(got);
}
Task<> read_beside(Scheduler&, PipeReader& reader, std::optional<Errc>& seen, bool exactly) {
    std::array<std::byte, 1> buffer;
    WEIR_CO_CHECK(yield());
    if (exactly) {
        const auto got = co_await reader.read_exactly(buffer);
        seen = code_of(got);
    } else {
        const auto got = co_await reader.read(buffer);
        seen = code_of(got);
    }
}
Task<> second_reader(Scheduler& scheduler) {
    for (const bool exactly : {false, true}) {
        WEIR_CO_TRY(Pipe pipe, Pipe::create());
        std::optional<Errc> first;
        std::optional<Errc> second;
        WEIR_CO_CHECK(all_of(read_into(scheduler, pipe.reader, first),
                             read_beside(scheduler, pipe.reader, second, exactly)));
        CHECK_IN_TASK(first == Errc::timed_out);
        CHECK_IN_TASK(second == Errc::busy);
    }
}
TEST_CASE("a second reader of one pipe is told busy, and the first waits on") {
    on_each_seed(second_reader);
}

Task<> write_into(Scheduler&, PipeWriter& writer, std::optional<Errc>& seen) {
    const auto got = co_await writer.write_all(bytes_of("first")).within(2ms);
    seen = code_of(got);
}
Task<> write_beside(Scheduler&, PipeWriter& writer, std::optional<Errc>& seen, bool all) {
    WEIR_CO_CHECK(yield());
    if (all) {
        const auto got = co_await writer.write_all(bytes_of("second"));
        seen = code_of(got);
    } else {
        const auto got = co_await writer.write(bytes_of("second"));
        seen = code_of(got);
    }
}
Task<> second_writer(Scheduler& scheduler) {
    for (const bool all : {false, true}) {
        WEIR_CO_TRY(Pipe pipe, filled_pipe());
        std::optional<Errc> first;
        std::optional<Errc> second;
        WEIR_CO_CHECK(all_of(write_into(scheduler, pipe.writer, first),
                             write_beside(scheduler, pipe.writer, second, all)));
        CHECK_IN_TASK(first == Errc::timed_out);
        CHECK_IN_TASK(second == Errc::busy);
    }
}
TEST_CASE("a second writer of one pipe is told busy, and the first waits on") {
    on_each_seed(second_writer);
}

// --- adopting and releasing

TEST_CASE("adopting takes pipes and nothing else, each end as what it is") {
    int ends[2];
    REQUIRE(::pipe2(ends, 0) == 0);
    int sockets[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    const int file = ::open("/proc/self/exe", O_RDONLY);
    CHECK(code_of(PipeReader::adopt(sockets[0])) == Errc::wrong_kind);
    CHECK(code_of(PipeWriter::adopt(sockets[0])) == Errc::wrong_kind);
    CHECK(code_of(PipeReader::adopt(file)) == Errc::wrong_kind);
    CHECK(code_of(PipeReader::adopt(-1)) == Errc::closed);
    CHECK(code_of(PipeReader::adopt(1'000'000)) == Errc::closed);
    CHECK(code_of(PipeReader::adopt(ends[1])) == Errc::wrong_kind);
    CHECK(code_of(PipeWriter::adopt(ends[0])) == Errc::wrong_kind);
    // Whoever is refused keeps the descriptor, as it was.
    CHECK((::fcntl(ends[0], F_GETFL) & O_NONBLOCK) == 0);
    CHECK((::fcntl(ends[0], F_GETFD) & FD_CLOEXEC) == 0);
    CHECK(::fcntl(sockets[0], F_GETFD) >= 0);
    {
        const auto reader = PipeReader::adopt(ends[0]);
        REQUIRE(reader.has_value());
        CHECK(reader->fd() == ends[0]);
        CHECK((::fcntl(ends[0], F_GETFL) & O_NONBLOCK) != 0);
        CHECK((::fcntl(ends[0], F_GETFD) & FD_CLOEXEC) != 0);
    }
    CHECK(::fcntl(ends[0], F_GETFD) < 0);  // the handle owned it
    for (const int fd : {ends[1], sockets[0], sockets[1], file}) ::close(fd);
}

Task<> reads_then_releases(Scheduler&, PipeReader& reader, int& fd) {
    std::array<std::byte, 1> buffer;
    const auto nothing = co_await reader.read(buffer).within(100us);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
    fd = reader.release();
    const auto gone = co_await reader.read(buffer);
    CHECK_IN_TASK(code_of(gone) == Errc::closed);
}
TEST_CASE("release deregisters and leaves the descriptor open") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        Running other(seed);
        auto pipe = Pipe::create();
        REQUIRE(pipe.has_value());
        int fd = -1;
        running.must_run(reads_then_releases(*running, pipe->reader, fd));
        CHECK(running->usage().descriptors == 0);
        CHECK_FALSE(pipe->reader);
        REQUIRE(fd >= 0);
        CHECK(::fcntl(fd, F_GETFD) >= 0);
        // Another handle, in another scheduler, takes it over.
        auto adopted = PipeReader::adopt(fd);
        REQUIRE(adopted.has_value());
        REQUIRE(::write(pipe->writer.fd(), "r", 1) == 1);
        other.must_run([](Scheduler&, PipeReader& reader) -> Task<> {
            std::array<std::byte, 4> buffer;
            WEIR_CO_TRY(const auto got, reader.read(buffer));
            CHECK_IN_TASK(text_of(got) == "r");
        }(*other, *adopted));
    });
}

// Standard streams are shared with whoever started us, so their mode is not ours to change; and the reader at the
// other end of a full blocking pipe may never come.
Task<> tick_beside(Scheduler&, int& ticks) {
    for (; ticks < 20; ++ticks) WEIR_CO_CHECK(sleep_for(100us));
}
Task<> read_standard_input(Scheduler& scheduler, PipeReader& input, int& ticks) {
    std::array<std::byte, 8> buffer;
    auto outcome = co_await all_of(
        [](Scheduler&, PipeReader& reader, Bytes into) -> Task<> {
            const auto nothing = co_await reader.read(into).within(2ms);
            if (code_of(nothing) != Errc::timed_out) co_return co_await fail(Errc::invalid, "no deadline");
        }(scheduler, input, buffer),
        tick_beside(scheduler, ticks));
    if (!outcome) co_return co_await fail(outcome.error());
}
Task<> write_standard_output(Scheduler& scheduler, PipeWriter& output, ConstBytes bytes, int& ticks) {
    auto outcome = co_await all_of(
        [](Scheduler&, PipeWriter& writer, ConstBytes from) -> Task<> {
            const auto part = co_await writer.write_all(from).within(2ms);
            if (code_of(part) != Errc::timed_out) co_return co_await fail(Errc::invalid, "no deadline");
            if (part.error().a == 0) co_return co_await fail(Errc::invalid, "nothing written");
        }(scheduler, output, bytes),
        tick_beside(scheduler, ticks));
    if (!outcome) co_return co_await fail(outcome.error());
}
TEST_CASE("adopted standard streams keep their blocking mode and never block the scheduler") {
    const auto end = run_in_child([] {
        int in[2];
        int out[2];
        if (::pipe(in) != 0 || ::pipe(out) != 0) return 2;
        if (::dup2(in[0], 0) != 0 || ::dup2(out[1], 1) != 1) return 3;
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        if (!scheduler->start({.backend = *backend_choice(backend_name())})) return 4;
        const std::vector<std::byte> bytes(200'000);
        {
            auto input = PipeReader::adopt(0);
            auto output = PipeWriter::adopt(1);
            if (!input || !output) return 5;
            int ticks = 0;
            if (!scheduler->run(read_standard_input(*scheduler, *input, ticks)) || ticks < 20) return 6;
            ticks = 0;
            if (!scheduler->run(write_standard_output(*scheduler, *output, bytes, ticks)) || ticks < 20)
                return 7;
            if ((::fcntl(0, F_GETFL) & O_NONBLOCK) != 0 || (::fcntl(1, F_GETFL) & O_NONBLOCK) != 0) return 8;
            if (::write(in[1], "in", 2) != 2) return 9;
            const auto got = scheduler->run([](Scheduler&, PipeReader& reader) -> Task<std::size_t> {
                std::array<std::byte, 2> buffer;
                WEIR_CO_TRY(const auto whole, reader.read_exactly(buffer));
                co_return whole.size();
            }(*scheduler, *input));
            if (!got || *got != 2) return 10;
            if ((::fcntl(0, F_GETFL) & O_NONBLOCK) != 0) return 11;
            std::ignore = input->release();
            std::ignore = output->release();
        }
        return 0;
    });
    INFO(end.errors);
    CHECK(end.signal == 0);
    CHECK(end.exit_status == 0);
}

// --- the descriptor table

Task<> table_runs_out(Scheduler& scheduler, std::vector<Pipe>& pipes, std::size_t& used) {
    std::array<std::byte, 1> buffer;
    for (Pipe& pipe : pipes) {
        const auto got = co_await pipe.reader.read(buffer).within(Duration::zero());
        if (code_of(got) == Errc::no_descriptor) {
            CHECK_IN_TASK(got.error().b == scheduler.budget().descriptors);
            break;
        }
        CHECK_IN_TASK(code_of(got) == Errc::timed_out);
        ++used;
    }
    // One goes, one fits.
    pipes.front().reader.close();
    const auto got = co_await pipes.back().reader.read(buffer).within(Duration::zero());
    CHECK_IN_TASK(code_of(got) == Errc::timed_out);
}
TEST_CASE("a full descriptor table is an error with its limit, and closing makes room") {
    Running running;
    std::vector<Pipe> pipes;
    for (std::size_t i = 0; i <= running_budget.descriptors; ++i) {
        auto pipe = Pipe::create();
        REQUIRE(pipe.has_value());
        pipes.push_back(std::move(*pipe));
    }
    std::size_t used = 0;
    running.must_run(table_runs_out(*running, pipes, used));
    CHECK(used == running_budget.descriptors);
}

// --- stopping

Task<> read_under_stop(Scheduler&, PipeReader& reader, std::optional<Errc>& seen) {
    std::array<std::byte, 4> buffer;
    const auto got = co_await reader.read(buffer);
    seen = code_of(got);
    // Started under a stop: refused without a try, although a byte is there.
    const auto refused = co_await reader.read(buffer);
    CHECK_IN_TASK(code_of(refused) == Errc::cancelled);
}
Task<> stops_reading(Scheduler& scheduler) {
    WEIR_CO_TRY(Pipe pipe, Pipe::create());
    std::optional<Errc> seen;
    auto outcome = co_await first_of(read_under_stop(scheduler, pipe.reader, seen), sleep_for(500us));
    CHECK_IN_TASK(outcome.index() == 1);
    CHECK_IN_TASK(seen == Errc::cancelled);
    WEIR_CO_CHECK(pipe.writer.write_all(bytes_of("b")));
    std::array<std::byte, 4> buffer;
    WEIR_CO_TRY(const auto got, pipe.reader.read(buffer));
    CHECK_IN_TASK(text_of(got) == "b");
}
TEST_CASE("a stop ends a waiting read with cancelled and what comes later is kept") {
    on_each_seed(stops_reading);
}

}  // namespace
