// SPDX-License-Identifier: MIT
#include <weir/io/unix_seqpacket.hpp>

#include "files_used_up.hpp"
#include "running.hpp"
#include "support/child.hpp"
#include "support/cut_descriptors.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

// --- messages

Task<> whole_messages(Scheduler&) {
    WEIR_CO_TRY(auto ends, UnixSeqpacket::pair());
    WEIR_CO_CHECK(ends.first.write(bytes_of("one")));
    WEIR_CO_CHECK(ends.first.write(bytes_of("second")));
    std::array<std::byte, 16> buffer;
    WEIR_CO_TRY(const auto one, ends.second.read(buffer));
    CHECK_IN_TASK(text_of(one) == "one");
    WEIR_CO_TRY(const auto second, ends.second.read(buffer));
    CHECK_IN_TASK(text_of(second) == "second");
    const auto empty = co_await ends.first.write({});
    CHECK_IN_TASK(code_of(empty) == Errc::invalid);
    WEIR_CO_CHECK(ends.first.shutdown_write());
    WEIR_CO_TRY(const auto end, ends.second.read(buffer));
    CHECK_IN_TASK(end.empty());
    WEIR_CO_CHECK(ends.second.write(bytes_of("back")));
    WEIR_CO_TRY(const auto back, ends.first.read(buffer));
    CHECK_IN_TASK(text_of(back) == "back");
}
TEST_CASE("each read gives one whole message, and an empty span at the end") {
    on_each_seed(whole_messages);
}

Task<> says_later(Scheduler&, UnixSeqpacket& end, std::string_view text) {
    WEIR_CO_CHECK(sleep_for(1ms));
    WEIR_CO_CHECK(end.write(bytes_of(text)));
}
Task<> reads_one(Scheduler&, UnixSeqpacket& end, Bytes buffer, std::optional<Error>& error,
                 std::string_view& got) {
    const auto came = co_await end.read(buffer);
    if (came) {
        got = text_of(*came);
    } else {
        error = came.error();
    }
}
Task<> truncated(Scheduler& scheduler, bool waits) {
    WEIR_CO_TRY(auto ends, UnixSeqpacket::pair());
    std::array<std::byte, 4> buffer;
    std::optional<Error> error;
    std::string_view got;
    if (waits) {
        WEIR_CO_CHECK(all_of(reads_one(scheduler, ends.second, buffer, error, got),
                             says_later(scheduler, ends.first, "0123456789")));
    } else {
        WEIR_CO_CHECK(ends.first.write(bytes_of("0123456789")));
        WEIR_CO_CHECK(reads_one(scheduler, ends.second, buffer, error, got));
    }
    CHECK_IN_TASK((error && error->code == Errc::overflow && error->a == 10 && error->b == 4));
    CHECK_IN_TASK(text_of(buffer) == "0123");
    // The next message is whole.
    WEIR_CO_CHECK(ends.first.write(bytes_of("next")));
    WEIR_CO_CHECK(reads_one(scheduler, ends.second, buffer, error, got));
    CHECK_IN_TASK(got == "next");
}
TEST_CASE("a message that does not fit is an error with both sizes, whether it was there or is waited for") {
    on_each_seed([](Scheduler& scheduler) { return truncated(scheduler, false); });
    on_each_seed([](Scheduler& scheduler) { return truncated(scheduler, true); });
}

Task<> sends_numbers(Scheduler&, UnixSeqpacket end, std::uint32_t count) {
    std::array<std::uint32_t, 64> message{};
    for (std::uint32_t i = 0; i < count; ++i) {
        message[0] = i;
        const std::size_t size = sizeof(std::uint32_t) * (1 + i % message.size());
        WEIR_CO_CHECK(end.write(bytes_of(message).first(size)));
    }
}
Task<> receives_numbers(Scheduler&, UnixSeqpacket end, std::uint32_t& count) {
    std::array<std::byte, 256> buffer;
    for (;;) {
        WEIR_CO_TRY(const auto got, end.read(buffer));
        if (got.empty()) co_return;
        std::uint32_t number = 0;
        std::memcpy(&number, got.data(), sizeof(number));
        CHECK_IN_TASK(number == count);
        CHECK_IN_TASK(got.size() == sizeof(number) * (1 + number % 64));
        ++count;
        if (count % 100 == 0) WEIR_CO_CHECK(sleep_for(20us));
    }
}
Task<> past_a_slow_reader(Scheduler& scheduler, std::uint32_t& count) {
    WEIR_CO_TRY(auto ends, UnixSeqpacket::pair());
    WEIR_CO_CHECK(all_of(sends_numbers(scheduler, std::move(ends.first), 2'000),
                         receives_numbers(scheduler, std::move(ends.second), count)));
}
TEST_CASE("writes wait while the peer has no room, and every message arrives whole and in order") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        std::uint32_t count = 0;
        running.must_run(past_a_slow_reader(*running, count));
        CHECK(count == 2'000);
    });
}

Task<> too_large(Scheduler&, ConstBytes huge) {
    WEIR_CO_TRY(auto ends, UnixSeqpacket::pair());
    const auto plain = co_await ends.first.write(huge);
    CHECK_IN_TASK(code_of(plain) == Errc::too_large);
    CHECK_IN_TASK(plain.error().a == huge.size());
    const auto with = co_await ends.first.write_with(huge, {});
    CHECK_IN_TASK(code_of(with) == Errc::too_large);
    CHECK_IN_TASK(with.error().a == huge.size());
}
TEST_CASE("a message beyond the send buffer is too_large with its size") {
    const std::vector<std::byte> huge(64 << 20);
    on_each_seed([&huge](Scheduler& scheduler) { return too_large(scheduler, huge); });
}

Task<> reset_by_peer(Scheduler&) {
    WEIR_CO_TRY(auto ends, UnixSeqpacket::pair());
    WEIR_CO_CHECK(ends.first.write(bytes_of("never read")));
    ends.second.close();
    std::array<std::byte, 4> buffer;
    const auto got = co_await ends.first.read(buffer);
    CHECK_IN_TASK(code_of(got) == Errc::peer_lost);
    const auto written = co_await ends.first.write(bytes_of("x"));
    CHECK_IN_TASK(code_of(written) == Errc::peer_lost);
}
TEST_CASE("a peer that goes with messages unread is peer_lost, without SIGPIPE") {
    on_each_seed(reset_by_peer);
}

// --- descriptors

template <class Socket>
Task<> passes_descriptors(Scheduler&) {
    WEIR_CO_TRY(auto ends, Socket::pair());
    WEIR_CO_TRY(auto pipe, Pipe::create());
    const std::array<int, 2> sent{pipe.reader.fd(), pipe.writer.fd()};
    const auto went = co_await ends.first.write_with(bytes_of("take"), sent);
    CHECK_IN_TASK((went && *went == 4));
    std::array<std::byte, 16> buffer;
    std::array<Fd, 8> place;
    WEIR_CO_TRY(const auto got, ends.second.read_with(buffer, place));
    CHECK_IN_TASK(text_of(got.bytes) == "take");
    CHECK_IN_TASK(got.descriptors.size() == 2);
    CHECK_IN_TASK(::fcntl(place[1].get(), F_GETFD) == FD_CLOEXEC);
    // What came is the same pipe, and ours is still ours.
    WEIR_CO_TRY(auto writer, PipeWriter::adopt(place[1].release()));
    WEIR_CO_CHECK(writer.write_all(bytes_of("through")));
    std::array<std::byte, 7> text;
    WEIR_CO_TRY(const auto read, pipe.reader.read_exactly(text));
    CHECK_IN_TASK(text_of(read) == "through");
    ends.first.close();
    WEIR_CO_TRY(const auto end, ends.second.read_with(buffer, place));
    CHECK_IN_TASK(end.bytes.empty());
    CHECK_IN_TASK(end.descriptors.empty());
}
TEST_CASE("descriptors pass with bytes of a stream and with messages") {
    on_each_seed(passes_descriptors<UnixStream>);
    on_each_seed(passes_descriptors<UnixSeqpacket>);
}

template <class Socket>
Task<> no_room(Scheduler&) {
    WEIR_CO_TRY(auto ends, Socket::pair());
    const std::array<int, 9> sent{0, 0, 0, 0, 0, 0, 0, 0, 0};
    const auto too_many = co_await ends.first.write_with(bytes_of("x"), sent);
    CHECK_IN_TASK(code_of(too_many) == Errc::too_large);
    CHECK_IN_TASK((too_many.error().a == 9 && too_many.error().b == descriptors_per_message_max));
    const auto nothing = co_await ends.first.write_with({}, std::span(sent).first(1));
    CHECK_IN_TASK(code_of(nothing) == Errc::invalid);
    std::array<std::byte, 4> buffer;
    std::array<Fd, 8> place;
    const int lowest = Fd(::dup(0)).get();
    for (std::size_t room = 0; room < 3; ++room) {
        WEIR_CO_CHECK(ends.first.write_with(bytes_of("x"), std::span(sent).first(3)));
        const auto got = co_await ends.second.read_with(buffer, std::span(place).first(room));
        CHECK_IN_TASK(code_of(got) == Errc::overflow);
        CHECK_IN_TASK(got.error().b == room);
        CHECK_IN_TASK(Fd(::dup(0)).get() == lowest);  // none is kept
    }
    // None can be had at all.
    WEIR_CO_CHECK(ends.first.write_with(bytes_of("x"), std::span(sent).first(3)));
    FilesUsedUp files;
    const auto got = co_await ends.second.read_with(buffer, place);
    files.end();
    CHECK_IN_TASK(code_of(got) == Errc::no_files);
}
TEST_CASE("descriptors without room are an error, and none of that message is kept") {
    if (!kernel_tells_of_cut_descriptors())
        skip("this kernel, or its emulation, does not tell of cut descriptors");
    on_each_seed(no_room<UnixStream>);
    on_each_seed(no_room<UnixSeqpacket>);
}

Task<> unexpected(Scheduler&) {
    WEIR_CO_TRY(auto ends, UnixSeqpacket::pair());
    const int sent = 0;
    WEIR_CO_CHECK(ends.first.write_with(bytes_of("x"), {&sent, 1}));
    std::array<std::byte, 4> buffer;
    const auto got = co_await ends.second.read(buffer);
    CHECK_IN_TASK(code_of(got) == Errc::overflow);
}
TEST_CASE("a plain read of a message that came with descriptors says so") {
    on_each_seed(unexpected);
}

/// As a service manager may have set it.
void ask_for_credentials(int fd) {
    const int on = 1;
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
}
template <class Socket, int type>
void adopt_asking(std::pair<Socket, Socket>& ends) {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, type, 0, fds) == 0);
    ask_for_credentials(fds[1]);
    ends = {*Socket::adopt(fds[0]), *Socket::adopt(fds[1])};
}
template <class Socket>
Task<> takes_from(Scheduler&, Socket& from, Socket& to) {
    std::array<std::byte, 8> buffer;
    std::array<Fd, 1> place;
    WEIR_CO_CHECK(from.write(bytes_of("p")));
    WEIR_CO_TRY(const auto plain, to.read(buffer));
    CHECK_IN_TASK(text_of(plain) == "p");
    const int sent = 0;
    WEIR_CO_CHECK(from.write_with(bytes_of("w"), {&sent, 1}));
    WEIR_CO_TRY(const auto with, to.read_with(buffer, place));
    CHECK_IN_TASK(text_of(with.bytes) == "w");
    CHECK_IN_TASK(with.descriptors.size() == 1);
}
TEST_CASE(
    "credentials that an adopted socket was set to pass neither fail a read nor take a descriptor's room") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        std::pair<UnixSeqpacket, UnixSeqpacket> messages;
        adopt_asking<UnixSeqpacket, SOCK_SEQPACKET>(messages);
        running.must_run(takes_from(*running, messages.first, messages.second));
        std::pair<UnixStream, UnixStream> streams;
        adopt_asking<UnixStream, SOCK_STREAM>(streams);
        running.must_run(takes_from(*running, streams.first, streams.second));
    });
}
Task<> takes_from_client(Scheduler& scheduler, UnixSeqpacketListener& listener, std::string_view path) {
    WEIR_CO_TRY(UnixSeqpacket client, UnixSeqpacket::connect(path));
    WEIR_CO_TRY(UnixSeqpacket server, listener.accept());
    WEIR_CO_CHECK(takes_from(scheduler, client, server));
}
TEST_CASE("nor do those that a connection has from an adopted listener") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    Fd listening(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(listening.get(), 4) == 0);
    ask_for_credentials(listening.get());
    Running running;
    auto listener = UnixSeqpacketListener::adopt(listening.release());
    REQUIRE(listener.has_value());
    running.must_run(takes_from_client(*running, *listener, path));
}

Task<> passes_writer(Scheduler&, UnixStream& from, PipeWriter& writer, Duration pause) {
    WEIR_CO_CHECK(sleep_for(pause));
    const int sent = writer.fd();
    WEIR_CO_CHECK(from.write_with(bytes_of("x"), {&sent, 1}));
    writer.close();
}
Task<> reads_plainly(Scheduler&, UnixStream& to) {
    std::array<std::byte, 4> buffer;
    WEIR_CO_TRY(const auto got, to.read(buffer));
    CHECK_IN_TASK(text_of(got) == "x");
}
Task<> dropped(Scheduler& scheduler, Duration pause) {
    WEIR_CO_TRY(auto ends, UnixStream::pair());
    WEIR_CO_TRY(auto pipe, Pipe::create());
    const int lowest = Fd(::dup(0)).get();
    WEIR_CO_CHECK(all_of(passes_writer(scheduler, ends.first, pipe.writer, pause),
                         reads_plainly(scheduler, ends.second)));
    // Nobody has the writing end any more: neither this process nor a queue in the kernel.
    std::array<std::byte, 4> buffer;
    WEIR_CO_TRY(const auto end, pipe.reader.read(buffer).within(60s));
    CHECK_IN_TASK(end.empty());
    CHECK_IN_TASK(Fd(::dup(0)).get() <= lowest);
}
TEST_CASE(
    "a plain read of a stream closes the descriptors that came, whether they were there or are waited for") {
    on_each_seed([](Scheduler& scheduler) { return dropped(scheduler, Duration::zero()); });
    on_each_seed([](Scheduler& scheduler) { return dropped(scheduler, 1ms); });
}

// --- connecting

Task<> two_ends(Scheduler&, UnixSeqpacketListener& listener, std::string_view path) {
    const auto wrong = co_await UnixStream::connect(path);
    CHECK_IN_TASK(code_of(wrong) == Errc::wrong_kind);
    WEIR_CO_TRY(UnixSeqpacket client, UnixSeqpacket::connect(path));
    WEIR_CO_TRY(UnixSeqpacket server, listener.accept());
    WEIR_CO_TRY(const Credentials clients, server.peer());
    CHECK_IN_TASK(clients.pid == ::getpid());
    CHECK_IN_TASK(clients.uid == ::geteuid());
    WEIR_CO_CHECK(client.write(bytes_of("over")));
    std::array<std::byte, 8> buffer;
    WEIR_CO_TRY(const auto got, server.read(buffer));
    CHECK_IN_TASK(text_of(got) == "over");
}
Task<> connects(Scheduler&, std::string_view path, Duration patience, std::optional<Errc>& seen) {
    const auto connected = co_await UnixSeqpacket::connect(path).within(patience);
    seen = code_of(connected);
}
Task<> accepts(Scheduler&, UnixSeqpacketListener& listener, std::size_t count) {
    while (count-- > 0) WEIR_CO_CHECK(listener.accept());
}
TEST_CASE("a listener has a path with a lock, and connections know each other's credentials") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        auto listener = UnixSeqpacketListener::bind(path, {.mode = 0620});
        REQUIRE(listener.has_value());
        CHECK(mode_of(path) == 0620);
        CHECK(code_of(UnixSeqpacketListener::bind(path)) == Errc::in_use);
        CHECK(code_of(UnixListener::bind(path)) == Errc::in_use);
        running.must_run(two_ends(*running, *listener, path));
        listener->close();
        CHECK_FALSE(exists(path));
    });
}

TEST_CASE("root gives the path of messages to the owner and group asked for") {
    if (::geteuid() != 0) skip("only root may give files away");
    const TemporaryDirectory directory;
    const auto listener =
        UnixSeqpacketListener::bind(directory / "s", {.mode = 0620, .owner = 4242, .group = 4343});
    REQUIRE(listener.has_value());
    struct stat status {};
    REQUIRE(::lstat((directory / "s").c_str(), &status) == 0);
    CHECK(status.st_uid == 4242);
    CHECK(status.st_gid == 4343);
    CHECK(mode_of(directory / "s") == 0620);
}

TEST_CASE("connecting to a full backlog of messages tries again until its deadline") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        auto listener = UnixSeqpacketListener::bind(path, {.backlog = 0});
        REQUIRE(listener.has_value());
        std::optional<Errc> seen;
        running.must_run(connects(*running, path, 1s, seen));
        CHECK_FALSE(seen.has_value());
        running.must_run(connects(*running, path, 5ms, seen));
        CHECK(seen == Errc::timed_out);
        running.must_run([](Scheduler& scheduler, std::string_view to, UnixSeqpacketListener& from,
                            std::optional<Errc>& outcome) -> Task<> {
            WEIR_CO_CHECK(all_of(connects(scheduler, to, 60s, outcome), accepts(scheduler, from, 2)));
        }(*running, path, *listener, seen));
        CHECK_FALSE(seen.has_value());
    });
}

template <class Listener>
Task<> serves_later(Scheduler&, std::string_view path) {
    WEIR_CO_CHECK(sleep_for(3ms));
    WEIR_CO_TRY(Listener listener, Listener::bind(path));
    WEIR_CO_CHECK(listener.accept().within(60s));
}
template <class Socket>
Task<> waits_for_server(Scheduler&, std::string_view path) {
    WEIR_CO_CHECK(Socket::connect(path, {.wait_for_server = true}).within(60s));
}
template <class Socket, class Listener>
Task<> comes_first(Scheduler& scheduler, std::string_view path) {
    // First nothing is there, then the socket of a server that has gone.
    for (const Errc without : {Errc::not_found, Errc::refused}) {
        const auto told = co_await Socket::connect(path);
        CHECK_IN_TASK(code_of(told) == without);
        const auto late = co_await Socket::connect(path, {.wait_for_server = true}).within(2ms);
        CHECK_IN_TASK(code_of(late) == Errc::timed_out);
        WEIR_CO_CHECK(
            all_of(serves_later<Listener>(scheduler, path), waits_for_server<Socket>(scheduler, path)));
        WEIR_CO_TRY(Listener left, Listener::bind(path));
        const Fd socket(left.release());  // the path stays
    }
    // Waiting does not help against what is not a matter of time.
    const auto empty = co_await Socket::connect("", {.wait_for_server = true});
    CHECK_IN_TASK(code_of(empty) == Errc::invalid);
}
TEST_CASE("connecting waits for a server that is not up yet, if it is asked to, until its deadline") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        Running running(seed);
        const std::string messages = directory / "m";
        const std::string stream = directory / "s";
        running.must_run(comes_first<UnixSeqpacket, UnixSeqpacketListener>(*running, messages));
        running.must_run(comes_first<UnixStream, UnixListener>(*running, stream));
    });
}

TEST_CASE("a socket of any type that nobody serves is taken over, and one that is served is not") {
    const TemporaryDirectory directory;
    const std::string path = directory / "s";
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
        Fd foreign(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        REQUIRE(::bind(foreign.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
        if (type != SOCK_DGRAM) REQUIRE(::listen(foreign.get(), 4) == 0);
        CHECK(code_of(UnixSeqpacketListener::bind(path)) == Errc::in_use);
        CHECK(exists(path));
        foreign.close();
        auto successor = UnixSeqpacketListener::bind(path);
        CHECK(successor.has_value());
    }
}

TEST_CASE("adopting takes seqpacket sockets of the right end, and serves one as standard input in its mode") {
    int ends[2];
    int stream[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0);
    CHECK(code_of(UnixSeqpacket::adopt(stream[0])) == Errc::wrong_kind);
    CHECK(code_of(UnixStream::adopt(ends[0])) == Errc::wrong_kind);
    CHECK(code_of(UnixSeqpacketListener::adopt(ends[0])) == Errc::wrong_kind);
    const auto end = run_in_child([&ends] {
        if (::dup2(ends[0], 0) != 0) return 2;
        const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
        if (!scheduler->start({.backend = *backend_choice(backend_name())})) return 3;
        auto input = UnixSeqpacket::adopt(0);
        if (!input) return 4;
        std::array<std::byte, 8> buffer;
        std::optional<Error> error;
        std::string_view got;
        if (::write(ends[1], "whole", 5) != 5) return 5;
        if (!scheduler->run(reads_one(*scheduler, *input, buffer, error, got)) || got != "whole") return 6;
        if ((::fcntl(0, F_GETFL) & O_NONBLOCK) != 0) return 7;
        std::ignore = input->release();
        return 0;
    });
    INFO(end.errors);
    CHECK(end.exit_status == 0);
    for (const int fd : {ends[0], ends[1], stream[0], stream[1]}) ::close(fd);
}

}  // namespace
