// SPDX-License-Identifier: MIT
#include <weir/io/unix_stream.hpp>
#include <weir/sys/faults.hpp>

#include "running.hpp"
#include "support/child.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

// --- reading and writing

Task<> echo_once(Scheduler&, UnixStream peer) {
    std::array<std::byte, 64> buffer;
    for (;;) {
        WEIR_CO_TRY(const auto got, peer.read(buffer));
        if (got.empty()) break;
        WEIR_CO_CHECK(peer.write_all(got));
    }
    WEIR_CO_CHECK(peer.write_all(bytes_of("bye")));  // its own direction is still open
}
Task<> ask(Scheduler&, UnixStream peer) {
    WEIR_CO_CHECK(peer.write_all(bytes_of("question")));
    std::array<std::byte, 8> answer;
    WEIR_CO_TRY(const auto got, peer.read_exactly(answer));
    CHECK_IN_TASK(text_of(got) == "question");
    WEIR_CO_CHECK(peer.shutdown_write());
    const auto refused = co_await peer.write_all(bytes_of("more"));
    CHECK_IN_TASK(code_of(refused) == Errc::peer_lost);
    std::array<std::byte, 3> last;
    WEIR_CO_TRY(const auto goodbye, peer.read_exactly(last));
    CHECK_IN_TASK(text_of(goodbye) == "bye");
    WEIR_CO_TRY(const auto end, peer.read(last));
    CHECK_IN_TASK(end.empty());
}
Task<> half_closes(Scheduler& scheduler) {
    WEIR_CO_TRY(auto ends, UnixStream::pair());
    WEIR_CO_CHECK(
        all_of(echo_once(scheduler, std::move(ends.first)), ask(scheduler, std::move(ends.second))));
}
TEST_CASE("shutdown_write ends one direction while the other goes on") {
    on_each_seed(half_closes);
}

Task<> reset_by_peer(Scheduler&) {
    WEIR_CO_TRY(auto ends, UnixStream::pair());
    WEIR_CO_CHECK(ends.first.write_all(bytes_of("never read")));
    ends.second.close();  // with bytes unread: the kernel calls that a reset
    std::array<std::byte, 4> buffer;
    const auto got = co_await ends.first.read(buffer);
    CHECK_IN_TASK(code_of(got) == Errc::peer_lost);
    const auto written = co_await ends.first.write_all(bytes_of("x"));
    CHECK_IN_TASK(code_of(written) == Errc::peer_lost);
}
TEST_CASE("a peer that goes with bytes unread is peer_lost") {
    on_each_seed(reset_by_peer);
}

Task<> waits_in(Scheduler&, UnixStream& stream, std::optional<Errc>& seen, bool& ended) {
    std::array<std::byte, 4> buffer;
    const auto got = co_await stream.read(buffer);
    seen = code_of(got);
    ended = got.has_value() && got->empty();
}
Task<> waits_out(Scheduler&, UnixStream& stream, ConstBytes bytes, std::optional<Errc>& seen) {
    const auto written = co_await stream.write_all(bytes);
    seen = code_of(written);
}
Task<> goes_later(Scheduler&, UnixStream stream) {
    WEIR_CO_CHECK(sleep_for(1ms));
    stream.close();
}
Task<> peer_goes(Scheduler& scheduler, ConstBytes bytes) {
    WEIR_CO_TRY(auto ends, UnixStream::pair());
    std::optional<Errc> in;
    std::optional<Errc> out;
    bool ended = false;
    WEIR_CO_CHECK(all_of(waits_in(scheduler, ends.first, in, ended),
                         waits_out(scheduler, ends.first, bytes, out),
                         goes_later(scheduler, std::move(ends.second))));
    CHECK_IN_TASK((ended || in == Errc::peer_lost));
    CHECK_IN_TASK(out == Errc::peer_lost);
}
TEST_CASE("a peer that goes wakes both directions") {
    const std::vector<std::byte> bytes(1 << 20);
    on_each_seed([&bytes](Scheduler& scheduler) { return peer_goes(scheduler, bytes); });
}

Task<> sends(Scheduler&, UnixStream stream, ConstBytes bytes) {
    WEIR_CO_CHECK(stream.write_all(bytes));
    WEIR_CO_CHECK(stream.shutdown_write());
    std::array<std::byte, 1> buffer;
    WEIR_CO_TRY(const auto end, stream.read(buffer));
    CHECK_IN_TASK(end.empty());
}
Task<> receives_slowly(Scheduler&, UnixStream stream, Bytes into, std::size_t& total) {
    std::size_t rounds = 0;
    for (;;) {
        WEIR_CO_TRY(
            const auto got,
            stream.read(into.subspan(total).first(std::min<std::size_t>(into.size() - total, 7'001))));
        if (got.empty()) co_return;
        total += got.size();
        if (total == into.size()) co_return;
        if (++rounds % 16 == 0) WEIR_CO_CHECK(sleep_for(20us));
    }
}
Task<> megabyte(Scheduler& scheduler, ConstBytes from, Bytes to, std::size_t& total) {
    WEIR_CO_TRY(auto ends, UnixStream::pair());
    WEIR_CO_CHECK(all_of(sends(scheduler, std::move(ends.first), from),
                         receives_slowly(scheduler, std::move(ends.second), to, total)));
}
TEST_CASE("write_all on a stream brings a megabyte whole and in order past a slow reader") {
    std::vector<std::byte> sent(1 << 20);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 11 + i / 253);
    for_each_seed([&](std::uint64_t seed) {
        Running running(seed);
        std::vector<std::byte> received(sent.size());
        std::size_t total = 0;
        running.must_run(megabyte(*running, sent, received, total));
        CHECK(total == sent.size());
        CHECK(received == sent);
    });
}

Task<> ends_early(Scheduler&) {
    WEIR_CO_TRY(auto ends, UnixStream::pair());
    WEIR_CO_CHECK(ends.first.write_all(bytes_of("abc")));
    ends.first.close();
    std::array<std::byte, 5> buffer;
    const auto got = co_await ends.second.read_exactly(buffer);
    CHECK_IN_TASK(code_of(got) == Errc::ended);
    CHECK_IN_TASK(got.error().a == 3);
}
TEST_CASE("read_exactly on a stream that ends early says ended and how many bytes came") {
    on_each_seed(ends_early);
}

Task<> reads_beside(Scheduler&, UnixStream& stream, std::optional<Errc>& seen) {
    WEIR_CO_CHECK(yield());
    std::array<std::byte, 1> buffer;
    const auto got = co_await stream.read(buffer);
    seen = code_of(got);
}
Task<> writes_beside(Scheduler&, UnixStream& stream, std::optional<Errc>& seen) {
    WEIR_CO_CHECK(yield());
    const auto got = co_await stream.write_all(bytes_of("x"));
    seen = code_of(got);
}
Task<> waits_both(Scheduler&, UnixStream& stream, ConstBytes bytes, std::optional<Errc>& in,
                  std::optional<Errc>& out) {
    std::array<std::byte, 1> buffer;
    auto outcome = co_await first_of(stream.read(buffer), stream.write_all(bytes), sleep_for(2ms));
    in = code_of(outcome.get<0>());
    out = code_of(outcome.get<1>());
}
Task<> busy_directions(Scheduler& scheduler, ConstBytes bytes) {
    WEIR_CO_TRY(auto ends, UnixStream::pair());
    std::optional<Errc> in, out, in_beside, out_beside;
    WEIR_CO_CHECK(all_of(waits_both(scheduler, ends.first, bytes, in, out),
                         reads_beside(scheduler, ends.first, in_beside),
                         writes_beside(scheduler, ends.first, out_beside)));
    CHECK_IN_TASK(in == Errc::cancelled);
    CHECK_IN_TASK(out == Errc::cancelled);
    CHECK_IN_TASK(in_beside == Errc::busy);
    CHECK_IN_TASK(out_beside == Errc::busy);
}
TEST_CASE("one reader and one writer wait on a stream at once, and a second of either is told busy") {
    const std::vector<std::byte> bytes(1 << 20);
    on_each_seed([&bytes](Scheduler& scheduler) { return busy_directions(scheduler, bytes); });
}

SimulationOptions losing_peers() {
    SimulationOptions simulation;
    simulation.lost_peer = 40;
    return simulation;
}
Task<> meets_lost_peers(Scheduler&) {
    WEIR_CO_TRY(auto ends, UnixStream::pair());
    int lost = 0;
    for (int i = 0; i < 60; ++i) {
        const auto written = co_await ends.first.write_all(bytes_of("x"));
        if (!written) {
            CHECK_IN_TASK(code_of(written) == Errc::peer_lost);
            ++lost;
        }
        std::array<std::byte, 1> buffer;
        const auto got = co_await ends.second.read(buffer).within(1ms);
        if (!got) {
            CHECK_IN_TASK((code_of(got) == Errc::peer_lost || code_of(got) == Errc::timed_out));
        }
    }
    CHECK_IN_TASK(lost > 0);
}
TEST_CASE("the simulated backend can lose a stream's peer at any call") {
    if (!on_simulated()) skip("faults are put in by the simulated backend only");
    on_each_seed(meets_lost_peers, losing_peers());
}

// --- a peer that keeps pace

// Cuts each call to one byte: a long transfer that never has to wait, in a pipe, which joins them.
class OneByteEach final : public sys::Faults {
public:
    OneByteEach() : before_(sys::install_faults(this)) {}
    OneByteEach(const OneByteEach&) = delete;
    OneByteEach& operator=(const OneByteEach&) = delete;
    ~OneByteEach() { sys::install_faults(before_); }
    sys::Fault next(sys::Call, int, std::size_t) noexcept override { return {.error = 0, .size_max = 1}; }

private:
    sys::Faults* before_;
};
constexpr std::size_t pieces = 4'000;

Task<> counts_turns(Scheduler&, int& turns) {
    for (;;) {
        const auto turn = co_await yield();
        if (!turn) co_return co_await fail(turn.error());
        ++turns;
    }
}
Task<> keeps_pace(Scheduler& scheduler, ConstBytes from, Bytes to) {
    WEIR_CO_TRY(auto pipe, Pipe::create());
    int turns = 0;
    auto writing = first_of(pipe.writer.write_all(from), counts_turns(scheduler, turns));
    const auto written = co_await std::move(writing);
    CHECK_IN_TASK(written.index() == 0);
    CHECK_IN_TASK(turns >= static_cast<int>(pieces) / Context::credit_full - 1);
    turns = 0;
    auto reading = first_of(pipe.reader.read_exactly(to), counts_turns(scheduler, turns));
    const auto got = co_await std::move(reading);
    CHECK_IN_TASK(got.index() == 0);
    CHECK_IN_TASK(turns >= static_cast<int>(pieces) / Context::credit_full - 1);
}
Task<> writes_late(Scheduler&, PipeWriter& stream, std::optional<Errc>& seen) {
    WEIR_CO_CHECK(yield());
    const auto written = co_await stream.write_all(bytes_of("intruder"));
    seen = code_of(written);
}
Task<> writes_long(Scheduler&, PipeWriter& stream, ConstBytes bytes) {
    WEIR_CO_CHECK(stream.write_all(bytes));
}
Task<> keeps_its_direction(Scheduler& scheduler, ConstBytes bytes, std::optional<Errc>& intruder) {
    WEIR_CO_TRY(auto pipe, Pipe::create());
    WEIR_CO_CHECK(
        all_of(writes_long(scheduler, pipe.writer, bytes), writes_late(scheduler, pipe.writer, intruder)));
}
Task<> stops_between(Scheduler& scheduler, ConstBytes bytes) {
    WEIR_CO_TRY(auto pipe, Pipe::create());
    int turns = 0;
    auto all = first_of(pipe.writer.write_all(bytes), yield(), counts_turns(scheduler, turns));
    auto outcome = co_await std::move(all);
    const auto& written = outcome.get<0>();
    CHECK_IN_TASK(code_of(written) == Errc::cancelled);
    std::size_t arrived = 0;
    std::array<std::byte, 64> buffer;
    pipe.writer.close();
    for (;;) {
        WEIR_CO_TRY(const auto got, pipe.reader.read(buffer));
        if (got.empty()) break;
        arrived += got.size();
    }
    CHECK_IN_TASK(arrived > 0);
    CHECK_IN_TASK(written.error().a == arrived);
}
TEST_CASE("a long transfer whose peer keeps pace lets other tasks have their turns") {
    if (on_simulated()) skip("the simulated backend puts in faults of its own");
    std::vector<std::byte> sent(pieces);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 7 + i / 251);
    std::vector<std::byte> received(pieces);
    Running running;
    const OneByteEach faults;
    running.must_run(keeps_pace(*running, sent, received));
    CHECK(received == sent);
    std::optional<Errc> intruder;
    running.must_run(keeps_its_direction(*running, sent, intruder));
    CHECK(intruder == Errc::busy);
    running.must_run(stops_between(*running, sent));
}

// --- adopting

TEST_CASE("adopting takes connected unix stream sockets and nothing else") {
    int stream[2];
    int seqpacket[2];
    int pipe[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0);
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, seqpacket) == 0);
    REQUIRE(::pipe(pipe) == 0);
    const int tcp = ::socket(AF_INET, SOCK_STREAM, 0);
    const int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un nameless{};
    nameless.sun_family = AF_UNIX;
    REQUIRE(::bind(listening, reinterpret_cast<sockaddr*>(&nameless), sizeof(nameless.sun_family)) == 0);
    REQUIRE(::listen(listening, 1) == 0);
    for (const int wrong : {seqpacket[0], pipe[0], listening})
        CHECK(code_of(UnixStream::adopt(wrong)) == Errc::wrong_kind);
    if (tcp >= 0) CHECK(code_of(UnixStream::adopt(tcp)) == Errc::wrong_kind);
    CHECK(code_of(UnixStream::adopt(-1)) == Errc::closed);
    {
        Running running;
        auto adopted = UnixStream::adopt(stream[0]);
        REQUIRE(adopted.has_value());
        CHECK((::fcntl(stream[0], F_GETFD) & FD_CLOEXEC) != 0);
        REQUIRE(::write(stream[1], "adopted", 7) == 7);
        running.must_run([](Scheduler&, UnixStream& peer) -> Task<> {
            std::array<std::byte, 7> buffer;
            WEIR_CO_TRY(const auto got, peer.read_exactly(buffer));
            CHECK_IN_TASK(text_of(got) == "adopted");
        }(*running, *adopted));
        const int fd = adopted->release();
        CHECK(fd == stream[0]);
    }
    CHECK(::fcntl(stream[0], F_GETFD) >= 0);
    for (const int fd : {stream[0], stream[1], seqpacket[0], seqpacket[1], pipe[0], pipe[1], tcp, listening})
        ::close(fd);
}

// --- connecting

Task<> connect_and_say(Scheduler&, std::string_view path, std::optional<Errc>& seen) {
    auto peer = co_await UnixStream::connect(path).within(2s);
    seen = code_of(peer);
}
std::optional<Errc> outcome_of_connecting(std::string_view path) {
    Running running;
    std::optional<Errc> seen;
    running.must_run(connect_and_say(*running, path, seen));
    CHECK(running->usage().descriptors == 0);
    return seen;
}

TEST_CASE("connecting to nothing is not_found, and to a path that nobody serves is refused") {
    const TemporaryDirectory directory;
    CHECK(outcome_of_connecting(directory / "nothing") == Errc::not_found);
    {
        auto listener = UnixListener::bind(directory / "stale");
        REQUIRE(listener.has_value());
        std::ignore = Fd(listener->release());  // closed, and the path stays
    }
    CHECK(exists(directory / "stale"));
    CHECK(outcome_of_connecting(directory / "stale") == Errc::refused);
    CHECK(outcome_of_connecting(directory.path()) == Errc::refused);
}

TEST_CASE("a path to connect to is neither empty, nor too long, nor abstract, nor cut at a zero") {
    const TemporaryDirectory directory;
    Running running;
    auto listener = UnixListener::bind(directory / "s");
    REQUIRE(listener.has_value());
    const std::string with_zero = (directory / "s") + std::string("\0tail", 5);
    CHECK(outcome_of_connecting(with_zero) == Errc::invalid);
    CHECK(outcome_of_connecting(std::string("\0abstract", 9)) == Errc::invalid);
    std::string longest(BoundedPath::size_max + 1, 'x');
    running.must_run([](Scheduler&, std::string_view path) -> Task<> {
        auto peer = co_await UnixStream::connect(path);
        CHECK_IN_TASK(code_of(peer) == Errc::too_large);
        CHECK_IN_TASK(peer.error().a == BoundedPath::size_max + 1);
        CHECK_IN_TASK(peer.error().b == BoundedPath::size_max);
        peer = co_await UnixStream::connect("");
        CHECK_IN_TASK(!peer.has_value());
    }(*running, longest));
}

Task<> two_ends(Scheduler&, UnixListener& listener, std::string_view path) {
    WEIR_CO_TRY(UnixStream client, UnixStream::connect(path));
    WEIR_CO_TRY(UnixStream server, listener.accept());
    WEIR_CO_TRY(const Credentials clients, server.peer());
    WEIR_CO_TRY(const Credentials servers, client.peer());
    CHECK_IN_TASK(clients.pid == ::getpid());
    CHECK_IN_TASK(clients.uid == ::geteuid());
    CHECK_IN_TASK(clients.gid == ::getegid());
    CHECK_IN_TASK(servers.pid == ::getpid());
    WEIR_CO_CHECK(client.write_all(bytes_of("over")));
    std::array<std::byte, 4> buffer;
    WEIR_CO_TRY(const auto got, server.read_exactly(buffer));
    CHECK_IN_TASK(text_of(got) == "over");
}
TEST_CASE("a connection joins two ends that know each other's credentials") {
    for_each_seed([](std::uint64_t seed) {
        const TemporaryDirectory directory;
        const std::string path = directory / "s";
        Running running(seed);
        auto listener = UnixListener::bind(path);
        REQUIRE(listener.has_value());
        running.must_run(two_ends(*running, *listener, path));
    });
}

TEST_CASE("a path's mode keeps other users out, and lets in whom it should") {
    if (::geteuid() != 0) skip("only root can become another user");
    const TemporaryDirectory directory;
    const std::string closed = directory / "closed";
    const std::string open = directory / "open";
    Running running;
    auto refusing = UnixListener::bind(closed, {.mode = 0600});
    auto accepting = UnixListener::bind(open, {.mode = 0666});
    REQUIRE(refusing.has_value());
    REQUIRE(accepting.has_value());
    const auto end = run_unprivileged(
        [&] {
            if (::geteuid() == 0) return 2;
            const auto scheduler = std::make_unique<StaticScheduler<running_budget>>();
            if (!scheduler->start({.backend = *backend_choice(backend_name())})) return 3;
            std::optional<Errc> seen;
            if (!scheduler->run(connect_and_say(*scheduler, closed, seen)) || seen != Errc::denied) return 4;
            if (!scheduler->run(connect_and_say(*scheduler, open, seen)) || seen.has_value()) return 5;
            return 0;
        },
        4242, 4343);
    INFO(end.errors);
    CHECK(end.exit_status == 0);
    // The one that came is known by the kernel's word for it.
    running.must_run([](Scheduler&, UnixListener& listener) -> Task<> {
        WEIR_CO_TRY(const UnixStream peer, listener.accept());
        WEIR_CO_TRY(const Credentials who, peer.peer());
        CHECK_IN_TASK(who.uid == 4242);
        CHECK_IN_TASK(who.gid == 4343);
        CHECK_IN_TASK(who.pid > 0);
        CHECK_IN_TASK(who.pid != ::getpid());
    }(*running, *accepting));
}

}  // namespace
