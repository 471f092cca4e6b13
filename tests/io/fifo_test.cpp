// SPDX-License-Identifier: MIT
#include <weir/io/fifo.hpp>

#include "forked.hpp"
#include "running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <climits>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

/// A new FIFO of its own for each seed.
template <class Make>
void with_fifo(const FifoOptions& options, Make make) {
    for_each_seed([&](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "f";
        Running running(seed);
        auto reader = FifoReader::create(path, options);
        REQUIRE(reader.has_value());
        running.must_run(make(*running, *reader, std::string_view(path)));
    });
}

// --- reading while writers come and go

Task<> writes_and_goes(Scheduler&, std::string_view path, std::string_view text, Duration delay) {
    WEIR_CO_CHECK(sleep_for(delay));
    WEIR_CO_TRY(FifoWriter writer, FifoWriter::open(path).within(10s));
    WEIR_CO_CHECK(writer.write_all(bytes_of(text)));
}
Task<> reads_first(Scheduler&, FifoReader& reader, std::string_view expected) {
    std::array<std::byte, 64> buffer;
    WEIR_CO_TRY(const auto got, reader.read_exactly(std::span(buffer).first(expected.size())));
    CHECK_IN_TASK(text_of(got) == expected);
}

Task<> waits_for_first_writer(Scheduler& scheduler, FifoReader& reader, std::string_view path) {
    std::array<std::byte, 8> buffer;
    const auto nothing = co_await reader.read(buffer).within(1ms);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);  // not an end of stream: nobody has come yet
    WEIR_CO_CHECK(
        all_of(reads_first(scheduler, reader, "first"), writes_and_goes(scheduler, path, "first", 1ms)));
}
TEST_CASE("before the first writer a read waits, with and without keep_open") {
    with_fifo({.keep_open = false}, waits_for_first_writer);
    with_fifo({.keep_open = true}, waits_for_first_writer);
}

Task<> opens_and_goes_silently(Scheduler&, std::string_view path) {
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_TRY(FifoWriter writer, FifoWriter::open(path).within(10s));
    static_cast<void>(writer);
}
Task<> reads_an_end(Scheduler&, FifoReader& reader) {
    std::array<std::byte, 8> buffer;
    WEIR_CO_TRY(const auto end, reader.read(buffer));
    CHECK_IN_TASK(end.empty());
}
Task<> ends_with_last_writer(Scheduler& scheduler, FifoReader& reader, std::string_view path) {
    WEIR_CO_CHECK(
        all_of(reads_first(scheduler, reader, "one"), writes_and_goes(scheduler, path, "one", 0ms)));
    WEIR_CO_CHECK(reads_an_end(scheduler, reader));
    WEIR_CO_CHECK(reads_an_end(scheduler, reader));  // each read until another comes
    WEIR_CO_CHECK(writes_and_goes(scheduler, path, "two", 0ms));
    WEIR_CO_CHECK(reads_first(scheduler, reader, "two"));
    WEIR_CO_CHECK(reads_an_end(scheduler, reader));
}
TEST_CASE("without keep_open the stream ends with the last writer, and goes on with the next") {
    with_fifo({.keep_open = false}, ends_with_last_writer);
}

Task<> silent_writer_ends(Scheduler& scheduler, FifoReader& reader, std::string_view path) {
    WEIR_CO_CHECK(all_of(reads_an_end(scheduler, reader), opens_and_goes_silently(scheduler, path)));
}
TEST_CASE("a writer that comes and goes without a word ends a waiting read") {
    with_fifo({.keep_open = false}, silent_writer_ends);
}

Task<> writers_follow_each_other(Scheduler& scheduler, FifoReader& reader, std::string_view path) {
    WEIR_CO_CHECK(
        all_of(reads_first(scheduler, reader, "onetwothree"), writes_and_goes(scheduler, path, "one", 1ms),
               writes_and_goes(scheduler, path, "two", 2ms), writes_and_goes(scheduler, path, "three", 3ms)));
    std::array<std::byte, 8> buffer;
    const auto nothing = co_await reader.read(buffer).within(1ms);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
}
TEST_CASE("with keep_open one writer's bytes follow another's without an end between") {
    with_fifo({.keep_open = true}, writers_follow_each_other);
}

// --- writing

Task<> writes_to_nobody(Scheduler&, FifoReader& reader, std::string_view path) {
    WEIR_CO_TRY(FifoWriter writer, FifoWriter::open(path));
    reader.close();
    const auto written = co_await writer.write_all(bytes_of("x"));
    CHECK_IN_TASK(code_of(written) == Errc::peer_lost);
}
TEST_CASE("writing when the reader is gone is peer_lost") {
    with_fifo({}, writes_to_nobody);
}

constexpr std::size_t record_size = PIPE_BUF;
constexpr int records = 40;

Task<> writes_records(Scheduler&, std::string_view path, char letter) {
    WEIR_CO_TRY(FifoWriter writer, FifoWriter::open(path));
    std::array<std::byte, record_size> record;
    record.fill(static_cast<std::byte>(letter));
    for (int i = 0; i < records; ++i) {
        WEIR_CO_TRY(const std::size_t written, writer.write(record));
        CHECK_IN_TASK(written == record_size);
    }
}
Task<> reads_whole_records(Scheduler&, FifoReader& reader) {
    std::array<std::byte, record_size> record;
    for (int i = 0; i < 3 * records; ++i) {
        WEIR_CO_CHECK(reader.read_exactly(record));
        std::size_t same = 0;
        for (const std::byte byte : record) same += byte == record[0] ? std::size_t{1} : 0;
        CHECK_IN_TASK(same == record_size);
        if (i % 8 == 0) WEIR_CO_CHECK(sleep_for(10us));
    }
}
TEST_CASE("writes of up to PIPE_BUF bytes by several writers arrive whole") {
    SimulationOptions simulation;
    simulation.short_transfer = 0;  // the kernel does not cut these
    for_each_seed([&](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "f";
        Running running(seed, simulation);
        auto reader = FifoReader::create(path);
        REQUIRE(reader.has_value());
        running.must_run([](Scheduler& scheduler, FifoReader& from, std::string_view to) -> Task<> {
            WEIR_CO_CHECK(all_of(reads_whole_records(scheduler, from), writes_records(scheduler, to, 'a'),
                                 writes_records(scheduler, to, 'b'), writes_records(scheduler, to, 'c')));
        }(*running, *reader, path));
    });
}

// --- opening

Task<> opens(Scheduler&, std::string_view path, std::optional<Errc>& seen) {
    const auto writer = co_await FifoWriter::open(path).within(30ms);
    seen = code_of(writer);
}
std::optional<Errc> outcome_of_opening(std::string_view path) {
    Running running;
    std::optional<Errc> seen;
    running.must_run(opens(*running, path, seen));
    return seen;
}
TEST_CASE("opening what is no FIFO is wrong_kind, at once") {
    const TemporaryDirectory directory;
    std::ofstream(directory / "file") << "content";
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string socket_path = directory / "socket";
    std::copy(socket_path.begin(), socket_path.end(), address.sun_path);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    CHECK(outcome_of_opening(directory / "file") == Errc::wrong_kind);
    CHECK(outcome_of_opening(directory.path()) == Errc::wrong_kind);
    CHECK(outcome_of_opening(socket_path) == Errc::wrong_kind);
    std::string content;
    std::ifstream(directory / "file") >> content;
    CHECK(content == "content");
    CHECK(outcome_of_opening(std::string(BoundedPath::size_max + 1, 'p')) == Errc::too_large);
    CHECK(outcome_of_opening("") == Errc::invalid);
}

TEST_CASE("opening retries while the FIFO is missing or has no reader, until its deadline") {
    const TemporaryDirectory directory;
    CHECK(outcome_of_opening(directory / "f") == Errc::timed_out);
    REQUIRE(::mkfifo((directory / "f").c_str(), 0600) == 0);
    CHECK(outcome_of_opening(directory / "f") == Errc::timed_out);
}

Task<> creates_later(Scheduler&, std::string_view path, FifoReader& reader) {
    WEIR_CO_CHECK(sleep_for(20ms));
    WEIR_CO_TRY(reader, FifoReader::create(path));
}
TEST_CASE("a writer that came before its reader opens once the reader is there") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "f";
        Running running(seed);
        FifoReader reader;
        running.must_run([](Scheduler& scheduler, std::string_view where, FifoReader& into) -> Task<> {
            WEIR_CO_CHECK(all_of(writes_and_goes(scheduler, where, "early", 0ms),
                                 creates_later(scheduler, where, into)));
            WEIR_CO_CHECK(reads_first(scheduler, into, "early"));
        }(*running, path, reader));
    });
}

// --- the path

TEST_CASE("the FIFO's mode is exactly the one asked for, whatever the umask") {
    const TemporaryDirectory directory;
    for (const mode_t mask : {mode_t{0}, mode_t{077}, mode_t{0777}}) {
        const mode_t before = ::umask(mask);
        for (const mode_t mode : {mode_t{0600}, mode_t{0620}, mode_t{0666}, mode_t{0660}}) {
            auto reader = FifoReader::create(directory / "f", {.mode = mode});
            REQUIRE(reader.has_value());
            CHECK(mode_of(directory / "f") == static_cast<int>(mode));
        }
        ::umask(before);
    }
}

TEST_CASE("an unprivileged reader under a hostile umask makes its FIFO, and leaves none when it may not") {
    const TemporaryDirectory directory;
    const auto end = run_unprivileged([&directory] {
        if (::geteuid() == 0) return 2;
        ::umask(0777);
        auto reader = FifoReader::create(directory / "f", {.mode = 0622});
        if (!reader) return 3;
        if (mode_of(directory / "f") != 0622) return 4;
        if (code_of(FifoReader::create(directory / "given", {.owner = 0})) != Errc::denied) return 5;
        if (exists(directory / "given")) return 6;
        return 0;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
}

TEST_CASE("root gives the FIFO to the owner and group asked for") {
    if (::geteuid() != 0) skip("only root may give files away");
    const TemporaryDirectory directory;
    auto reader = FifoReader::create(directory / "f", {.mode = 0620, .owner = 4242, .group = 4343});
    REQUIRE(reader.has_value());
    struct stat status {};
    REQUIRE(::lstat((directory / "f").c_str(), &status) == 0);
    CHECK(status.st_uid == 4242);
    CHECK(status.st_gid == 4343);
    CHECK((status.st_mode & 07777) == 0620);
}

TEST_CASE("what is no FIFO is in_use and stays as it is") {
    const TemporaryDirectory directory;
    std::ofstream(directory / "file") << "precious";
    REQUIRE(::mkdir((directory / "directory").c_str(), 0755) == 0);
    REQUIRE(::mkfifo((directory / "elsewhere").c_str(), 0600) == 0);
    REQUIRE(::symlink((directory / "elsewhere").c_str(), (directory / "link").c_str()) == 0);
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string socket_path = directory / "socket";
    std::copy(socket_path.begin(), socket_path.end(), address.sun_path);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    for (const char* const name : {"file", "directory", "link", "socket"}) {
        INFO(name);
        CHECK(code_of(FifoReader::create(directory / name)) == Errc::in_use);
        CHECK(exists(directory / name));
    }
    std::string content;
    std::ifstream(directory / "file") >> content;
    CHECK(content == "precious");
    CHECK(code_of(FifoReader::create(std::string(BoundedPath::size_max + 1, 'p'))) == Errc::too_large);
    CHECK(code_of(FifoReader::create("")) == Errc::invalid);
    CHECK(code_of(FifoReader::create((directory / "z") + std::string("\0z", 2))) == Errc::invalid);
    CHECK(code_of(FifoReader::create(directory / "missing/f")) == Errc::not_found);
}

TEST_CASE("another user's FIFO is refused") {
    if (::geteuid() != 0) skip("only root can become another user");
    const TemporaryDirectory directory;
    REQUIRE(::mkfifo((directory / "f").c_str(), 0666) == 0);
    REQUIRE(::chmod((directory / "f").c_str(), 0666) == 0);
    REQUIRE(::chown((directory / "f").c_str(), 4242, 4242) == 0);
    CHECK(code_of(FifoReader::create(directory / "f")) ==
          Errc::in_use);  // we are root and could have read it
    const auto end = run_unprivileged(
        [&directory] {
            if (::geteuid() == 0) return 2;
            return code_of(FifoReader::create(directory / "f")) == Errc::in_use ? 0 : 1;
        },
        4343, 4343);
    CHECK(end.exit_status == 0);
    CHECK(mode_of(directory / "f") == 0666);
}

TEST_CASE("a FIFO that a killed reader left is taken over with a new mode, and its writers go on") {
    const TemporaryDirectory directory;
    const std::string path = directory / "f";
    ForkedHolder holder([&path] {
        static Result<FifoReader> reader = FifoReader::create(path, {.mode = 0600});
        return reader.has_value();
    });
    const Fd writer(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    REQUIRE(writer);
    holder.kill();
    CHECK(exists(path));
    Running running;
    auto successor = FifoReader::create(path, {.mode = 0620});
    REQUIRE(successor.has_value());
    CHECK(mode_of(path) == 0620);
    REQUIRE(::write(writer.get(), "still", 5) == 5);
    running.must_run(reads_first(*running, *successor, "still"));
}

TEST_CASE("closing removes the path unless told not to, and releasing leaves it") {
    const TemporaryDirectory directory;
    const std::string path = directory / "f";
    { const auto reader = FifoReader::create(path); }
    CHECK_FALSE(exists(path));
    { const auto reader = FifoReader::create(path, {.remove = false}); }
    CHECK(exists(path));
    {
        auto reader = FifoReader::create(path);
        REQUIRE(reader.has_value());
        FifoReader moved = std::move(*reader);
        CHECK(exists(path));
        const Fd released(moved.release());
        CHECK(released);
        CHECK(exists(path));
    }
    CHECK(exists(path));
}

TEST_CASE("closing leaves a FIFO that somebody put in the place of ours") {
    const TemporaryDirectory directory;
    const std::string path = directory / "fifo";
    auto reader = FifoReader::create(path);
    REQUIRE(reader.has_value());
    REQUIRE(::rename(path.c_str(), (path + "-before").c_str()) == 0);
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    reader->close();
    CHECK(exists(path));
}

TEST_CASE("adopting a FIFO's ends takes each as what it is") {
    const TemporaryDirectory directory;
    const std::string path = directory / "f";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    const int reading = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    const int writing = ::open(path.c_str(), O_WRONLY);
    CHECK(code_of(FifoReader::adopt(writing)) == Errc::wrong_kind);
    CHECK(code_of(FifoWriter::adopt(reading)) == Errc::wrong_kind);
    Running running;
    auto reader = FifoReader::adopt(reading);
    auto writer = FifoWriter::adopt(writing);
    REQUIRE(reader.has_value());
    REQUIRE(writer.has_value());
    running.must_run([](Scheduler& scheduler, FifoReader& from, FifoWriter& to) -> Task<> {
        WEIR_CO_CHECK(to.write_all(bytes_of("adopted")));
        WEIR_CO_CHECK(reads_first(scheduler, from, "adopted"));
    }(*running, *reader, *writer));
    reader->close();
    CHECK(exists(path));
}

}  // namespace
