// SPDX-License-Identifier: MIT
//
// A stream that was read empty is not tried again before something came (epoll). Whatever else comes with the bytes, or
// while nobody reads, must not get lost by it.
#include <weir/io/tcp.hpp>
#include <weir/io/unix_stream.hpp>
#include <weir/sys/message.hpp>

#include "running.hpp"
#include "tcp_pair.hpp"
#include "support/cut_descriptors.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>

#include <sys/socket.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

constexpr Duration patience = 20s;

bool on_epoll(const Scheduler& scheduler) {
    return scheduler.backend_name() == "epoll";
}

// What `stream` gives next, of a buffer with room for more.
template <class Stream>
Task<char> reads_one(Scheduler&, Stream& stream) {
    std::array<std::byte, 16> buffer;
    WEIR_CO_TRY(const auto got, stream.read(buffer).within(patience));
    co_return got.empty() ? '-' : got.size() == 1 ? static_cast<char>(got[0]) : '+';
}
// `act` runs while the read waits, all before its event is looked at.
template <class Stream, class Act>
Task<> acts_later(Scheduler&, Stream& far, Act act) {
    WEIR_CO_CHECK(yield());
    act(far);
}
template <class Stream, class Act>
Task<char> reads_while(Scheduler& scheduler, Stream& near, Stream& far, Act act) {
    WEIR_CO_TRY(const auto both, all_of(reads_one(scheduler, near), acts_later(scheduler, far, act)));
    co_return std::get<0>(both);
}
// The first read waits and is told of bytes alone: from then on the stream may be known to be empty.
template <class Stream>
Task<> warms_up(Scheduler& scheduler, Stream& near, Stream& far) {
    for (const char* byte = "123"; *byte != 0; ++byte) {
        WEIR_CO_TRY(const char got, reads_while(scheduler, near, far, [byte](Stream& stream) {
                        CHECK_IN_TASK(::send(stream.fd(), byte, 1, MSG_NOSIGNAL) == 1);
                    }));
        CHECK_IN_TASK(got == *byte);
    }
}

template <class Stream>
Task<> ends_with_bytes(Scheduler& scheduler, Stream& near, Stream& far) {
    WEIR_CO_CHECK(warms_up(scheduler, near, far));
    WEIR_CO_TRY(const char got, reads_while(scheduler, near, far, [](Stream& stream) {
                    CHECK_IN_TASK(::send(stream.fd(), "z", 1, MSG_NOSIGNAL) == 1);
                    stream.close();
                }));
    CHECK_IN_TASK(got == 'z');
    WEIR_CO_TRY(const char end, reads_one(scheduler, near));
    CHECK_IN_TASK(end == '-');
}
template <class Stream>
Task<> ends_afterwards(Scheduler& scheduler, Stream& near, Stream& far) {
    WEIR_CO_CHECK(warms_up(scheduler, near, far));
    WEIR_CO_CHECK(far.shutdown_write());
    WEIR_CO_TRY(const char end, reads_one(scheduler, near));
    CHECK_IN_TASK(end == '-');
}
// The event of these bytes is thrown away: nobody waits for them.
template <class Stream>
Task<> comes_unawaited(Scheduler& scheduler, Stream& near, Stream& far) {
    WEIR_CO_CHECK(warms_up(scheduler, near, far));
    WEIR_CO_CHECK(far.write_all(bytes_of("u")));
    WEIR_CO_CHECK(sleep_for(5ms));
    WEIR_CO_CHECK(readable(near.fd()).within(patience));
    WEIR_CO_TRY(const char got, reads_one(scheduler, near));
    CHECK_IN_TASK(got == 'u');
}

template <class Case>
Task<> over_tcp(Scheduler& scheduler, Case run_case) {
    TcpStream near;  // reads
    TcpStream far;
    WEIR_CO_CHECK(joins(scheduler, loopback(), far, near));
    WEIR_CO_CHECK(far.set_nodelay(true));
    WEIR_CO_CHECK(run_case(scheduler, near, far));
}
template <class Case>
Task<> over_unix(Scheduler& scheduler, Case run_case, bool descriptors) {
    WEIR_CO_TRY(auto pair, UnixStream::pair());
    const int value = descriptors ? 1 : 0;
    CHECK_IN_TASK((descriptors || ::setsockopt(pair.first.fd(), SOL_SOCKET, pass_rights_option, &value,
                                               sizeof(value)) == 0));
    WEIR_CO_CHECK(run_case(scheduler, pair.first, pair.second));
}
template <class OverTcp, class OverUnix>
void on_each_stream(OverTcp tcp, OverUnix over) {
    if (!on_simulated()) {  // the kernel's loopback delivers in real time
        Running running;
        running.must_run(over_tcp(*running, tcp));
    }
    on_each_seed([&](Scheduler& scheduler) { return over_unix(scheduler, over, true); });
    if (kernel_keeps_descriptors_out())
        on_each_seed([&](Scheduler& scheduler) { return over_unix(scheduler, over, false); });
}

TEST_CASE("an end that comes with the last bytes is seen") {
    on_each_stream(ends_with_bytes<TcpStream>, ends_with_bytes<UnixStream>);
}
TEST_CASE("an end that comes after the last bytes is seen") {
    on_each_stream(ends_afterwards<TcpStream>, ends_afterwards<UnixStream>);
}
TEST_CASE("bytes that come while nobody reads are there for the next read") {
    on_each_stream(comes_unawaited<TcpStream>, comes_unawaited<UnixStream>);
}

// The kernel cuts a read short at an urgent byte, and tells of it in the same event.
Task<> passes_urgent(Scheduler& scheduler) {
    TcpStream near;  // reads
    TcpStream far;
    WEIR_CO_CHECK(joins(scheduler, loopback(), far, near));
    WEIR_CO_CHECK(far.set_nodelay(true));
    WEIR_CO_CHECK(warms_up(scheduler, near, far));
    WEIR_CO_TRY(const char first, reads_while(scheduler, near, far, [](TcpStream& stream) {
                    CHECK_IN_TASK(::send(stream.fd(), "a", 1, MSG_NOSIGNAL) == 1);
                    CHECK_IN_TASK(::send(stream.fd(), "!", 1, MSG_NOSIGNAL | MSG_OOB) == 1);
                    CHECK_IN_TASK(::send(stream.fd(), "b", 1, MSG_NOSIGNAL) == 1);
                }));
    CHECK_IN_TASK(first == 'a');
    WEIR_CO_TRY(const char second, reads_one(scheduler, near));
    CHECK_IN_TASK(second == 'b');
}
TEST_CASE("bytes behind an urgent one are read") {
    if (on_simulated()) skip("the kernel's loopback delivers in real time");
    Running running;
    running.must_run(passes_urgent(*running));
}

// It cuts one short behind bytes with descriptors, too, and tells of nothing.
Task<> passes_descriptors(Scheduler& scheduler) {
    WEIR_CO_TRY(auto pair, UnixStream::pair());
    auto& [near, far] = pair;
    WEIR_CO_CHECK(warms_up(scheduler, near, far));
    WEIR_CO_TRY(const char first, reads_while(scheduler, near, far, [](UnixStream& stream) {
                    sys::DescriptorMessage message("a", 1);
                    const int descriptors[] = {stream.fd()};
                    message.attach(descriptors);
                    CHECK_IN_TASK(sys::send_message(stream.fd(), message.header()) == 1);
                    CHECK_IN_TASK(::send(stream.fd(), "b", 1, MSG_NOSIGNAL) == 1);
                }));
    CHECK_IN_TASK(first == 'a');
    WEIR_CO_TRY(const char second, reads_one(scheduler, near));
    CHECK_IN_TASK(second == 'b');
}
TEST_CASE("bytes behind descriptors that nobody takes are read") {
    on_each_seed(passes_descriptors);
}

Task<> knows_empty(Scheduler& scheduler) {
    TcpStream near;  // reads
    TcpStream far;
    WEIR_CO_CHECK(joins(scheduler, loopback(), far, near));
    WEIR_CO_CHECK(far.set_nodelay(true));
    WEIR_CO_CHECK(warms_up(scheduler, near, far));
    WEIR_CO_TRY(const DescriptorEntry* const entry, near.entry_in(scheduler));
    CHECK_IN_TASK((entry->note == told_of::drained) == on_epoll(scheduler));
}
TEST_CASE("a TCP stream that a read left room of is known to be empty, with epoll") {
    if (on_simulated()) skip("the kernel's loopback delivers in real time");
    Running running;
    running.must_run(knows_empty(*running));
}

Task<> accepts_from(Scheduler& scheduler, UnixListener& listener, bool kept_out) {
    WEIR_CO_TRY(auto near, listener.accept().within(patience));
    std::array<std::byte, 16> buffer;
    WEIR_CO_TRY(const auto got, near.read(buffer).within(patience));
    CHECK_IN_TASK(text_of(got) == "x");
    WEIR_CO_CHECK(near.write_all(bytes_of("y")));
    for (int i = 0; i < 3; ++i) {
        WEIR_CO_TRY(const char more, reads_one(scheduler, near));
        CHECK_IN_TASK(more == 'x');
        WEIR_CO_CHECK(near.write_all(bytes_of("y")));
    }
    WEIR_CO_TRY(const DescriptorEntry* const entry, near.entry_in(scheduler));
    CHECK_IN_TASK((entry->note == told_of::drained) == (kept_out && on_epoll(scheduler)));
}
Task<> tries_to_pass(Scheduler& scheduler, std::string_view path, bool kept_out) {
    WEIR_CO_TRY(auto far, UnixStream::connect(path));
    const int descriptors[] = {far.fd()};
    const auto passed = co_await far.write_with(bytes_of("x"), descriptors);
    CHECK_IN_TASK(passed.has_value() != kept_out);
    if (kept_out) {
        CHECK_IN_TASK(code_of(passed) == Errc::denied);
        WEIR_CO_CHECK(far.write_all(bytes_of("x")));
    }
    for (int i = 0; i < 3; ++i) {
        WEIR_CO_TRY(const char answer, reads_one(scheduler, far));
        CHECK_IN_TASK(answer == 'y');
        WEIR_CO_CHECK(far.write_all(bytes_of("x")));
    }
    WEIR_CO_TRY(const char last, reads_one(scheduler, far));
    CHECK_IN_TASK(last == 'y');
}
Task<> keeps_out(Scheduler& scheduler, std::string_view path, bool descriptors, bool kernel_can) {
    const bool kept_out = !descriptors && kernel_can;
    WEIR_CO_TRY(auto listener, UnixListener::bind(path, {.descriptors = descriptors}));
    WEIR_CO_CHECK(
        all_of(accepts_from(scheduler, listener, kept_out), tries_to_pass(scheduler, path, kept_out)));
}
TEST_CASE("a listener that takes no descriptors keeps them out where the kernel can") {
    const TemporaryDirectory directory;
    const std::string path = directory / "listener";
    const bool kernel_can = kernel_keeps_descriptors_out();
    for (const bool descriptors : {false, true}) {
        on_each_seed(
            [&](Scheduler& scheduler) { return keeps_out(scheduler, path, descriptors, kernel_can); });
    }
}

}  // namespace
