// SPDX-License-Identifier: MIT
#include <weir/io/descriptor.hpp>

#include "running.hpp"
#include "support/skip.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include <fcntl.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <linux/gpio.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace weir;
using namespace weir::test;

/// A pty: its master side, and the path of the other one.
struct Pty {
    Pty() {
        master = Fd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
        REQUIRE(master);
        REQUIRE(::grantpt(master.get()) == 0);
        REQUIRE(::unlockpt(master.get()) == 0);
        char name[64];
        REQUIRE(::ptsname_r(master.get(), name, sizeof(name)) == 0);
        path = name;
    }
    Fd master;
    std::string path;
};

struct Line {
    Descriptor far;
    SerialPort port;
};
/// Both sides as handles.
Line make_line(const SerialOptions& options = {}) {
    Pty pty;
    auto port = SerialPort::open(pty.path, options);
    INFO(Running::text_of_error(port));
    REQUIRE(port.has_value());
    auto far = Descriptor::adopt(pty.master.get());
    REQUIRE(far.has_value());
    static_cast<void>(pty.master.release());
    return {std::move(*far), std::move(*port)};
}

// --- a pty as a serial port

Task<> talks_both_ways(Scheduler&, Line& line) {
    const std::array<std::byte, 6> raw{std::byte{'\r'}, std::byte{'\n'}, std::byte{3},
                                       std::byte{0},    std::byte{255},  std::byte{'x'}};
    std::array<std::byte, 6> buffer{};
    WEIR_CO_CHECK(line.port.write_all(raw));
    WEIR_CO_CHECK(line.far.read_exactly(buffer));
    CHECK_IN_TASK(buffer == raw);
    buffer = {};
    WEIR_CO_CHECK(line.far.write_all(raw));
    WEIR_CO_CHECK(line.port.read_exactly(buffer));
    CHECK_IN_TASK(buffer == raw);
    const auto nothing = co_await line.port.read(buffer).within(200us);
    CHECK_IN_TASK(code_of(nothing) == Errc::timed_out);
    const auto no_echo = co_await line.far.read(buffer).within(200us);
    CHECK_IN_TASK(code_of(no_echo) == Errc::timed_out);
}
TEST_CASE("a serial port is raw: every byte passes as it is, both ways, without echo") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        Line line = make_line();
        running.must_run(talks_both_ways(*running, line));
    });
}

Task<> writes_much(Scheduler&, Descriptor& from, ConstBytes bytes) {
    WEIR_CO_CHECK(from.write_all(bytes));
}
Task<> reads_much(Scheduler&, Descriptor& into, Bytes bytes) {
    WEIR_CO_CHECK(into.read_exactly(bytes));
}
TEST_CASE("more than a terminal's buffer goes through while both sides wait in turn") {
    static std::array<std::byte, 40'000> sent;
    static std::array<std::byte, 40'000> received;
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 7 + i / 251);
    received = {};
    Running running;
    Line line = make_line();
    running.must_run([](Scheduler& scheduler, Line& both) -> Task<> {
        WEIR_CO_CHECK(
            all_of(writes_much(scheduler, both.port, sent), reads_much(scheduler, both.far, received)));
    }(*running, line));
    CHECK(received == sent);
}

Task<> far_side_goes(Scheduler&, Line& line) {
    std::array<std::byte, 8> buffer{};
    WEIR_CO_CHECK(line.far.write_all(bytes_of("bye")));
    WEIR_CO_CHECK(line.port.read_exactly(std::span(buffer).first(3)));
    line.far.close();
    for (int i = 0; i < 2; ++i) {
        WEIR_CO_TRY(const auto end, line.port.read(buffer));
        CHECK_IN_TASK(end.empty());
    }
    const auto lost = co_await line.port.write_all(bytes_of("x"));
    CHECK_IN_TASK(code_of(lost) == Errc::peer_lost);
}
TEST_CASE("a hung-up terminal reads as ended and writes as lost") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        Line line = make_line();
        running.must_run(far_side_goes(*running, line));
    });
}

Task<> closes_later(Scheduler&, SerialPort& port) {
    WEIR_CO_CHECK(sleep_for(1ms));
    port.close();
}
Task<> reads_end(Scheduler&, Descriptor& far, bool& ended) {
    std::array<std::byte, 8> buffer{};
    WEIR_CO_TRY(const auto end, far.read(buffer));
    ended = end.empty();
    const auto exactly = co_await far.read_exactly(buffer);
    CHECK_IN_TASK(code_of(exactly) == Errc::ended);
}
TEST_CASE("the master of a pty is woken, and at its end, when the other side closes") {
    for_each_seed([](std::uint64_t seed) {
        Running running(seed);
        Line line = make_line();
        bool ended = false;
        running.must_run([](Scheduler& scheduler, Line& both, bool& end) -> Task<> {
            WEIR_CO_CHECK(all_of(reads_end(scheduler, both.far, end), closes_later(scheduler, both.port)));
        }(*running, line, ended));
        CHECK(ended);
    });
}

TEST_CASE("a serial port is set as asked for, and is nobody's controlling terminal") {
    const Line line = make_line(
        {.baud = 9'600, .data_bits = 7, .parity = Parity::odd, .stop_bits = 2, .hardware_flow = true});
    termios set{};
    REQUIRE(::tcgetattr(line.port.fd(), &set) == 0);
    CHECK(::cfgetospeed(&set) == B9600);
    CHECK((set.c_cflag & CSTOPB) != 0);
    CHECK((set.c_cflag & CRTSCTS) != 0);
    CHECK((set.c_lflag & (ICANON | ECHO | ISIG)) == 0);
    CHECK(set.c_cc[VMIN] == 1);
    CHECK((::fcntl(line.port.fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("opening a serial port refuses what is none, what is taken and what makes no sense") {
    const TemporaryDirectory directory;
    const Fd file(::open((directory / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    REQUIRE(file);
    CHECK(code_of(SerialPort::open(directory / "file")) == Errc::wrong_kind);
    CHECK(code_of(SerialPort::open(directory / "nothing")) == Errc::not_found);
    CHECK(code_of(SerialPort::open("")) == Errc::invalid);
    CHECK(code_of(SerialPort::open(std::string(108, 'x'))) == Errc::too_large);
    const Pty pty;
    CHECK(code_of(SerialPort::open(pty.path, {.baud = 12'345})) == Errc::invalid);
    CHECK(code_of(SerialPort::open(pty.path, {.data_bits = 9})) == Errc::invalid);
    CHECK(code_of(SerialPort::open(pty.path, {.stop_bits = 0})) == Errc::invalid);
    const auto holder = SerialPort::open(pty.path);
    REQUIRE(holder.has_value());
    CHECK(code_of(SerialPort::open(pty.path)) == Errc::in_use);
}

// --- other descriptors

TEST_CASE("a regular file and a directory are refused, and stay their owner's") {
    const TemporaryDirectory directory;
    const Fd file(::open((directory / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    const Fd folder(::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CHECK(code_of(Descriptor::adopt(file.get())) == Errc::not_pollable);
    CHECK(code_of(Descriptor::adopt(folder.get())) == Errc::not_pollable);
    CHECK(code_of(Descriptor::adopt(-1)) == Errc::closed);
    CHECK(::fcntl(file.get(), F_GETFD) >= 0);
    CHECK(::fcntl(folder.get(), F_GETFD) >= 0);
}

Task<> passes_a_frame(Scheduler&, Descriptor& sender, Descriptor& receiver) {
    can_frame frame{};
    frame.can_id = 0x123;
    frame.can_dlc = 2;
    frame.data[0] = 7;
    WEIR_CO_CHECK(sender.write(bytes_of(frame)));
    can_frame got{};
    WEIR_CO_TRY(const auto bytes, receiver.read(writable_bytes_of(got)));
    CHECK_IN_TASK(bytes.size() == sizeof(got));
    CHECK_IN_TASK(got.can_id == frame.can_id);
    CHECK_IN_TASK(got.data[0] == 7);
}
int can_socket(unsigned interface) {
    const int fd = ::socket(PF_CAN, SOCK_RAW | SOCK_CLOEXEC, CAN_RAW);
    sockaddr_can address{};
    address.can_family = AF_CAN;
    address.can_ifindex = static_cast<int>(interface);
    void* const any = &address;
    if (fd >= 0 && ::bind(fd, static_cast<sockaddr*>(any), sizeof(address)) < 0) {
        ::close(fd);
        return -1;
    }
    return fd;
}
TEST_CASE("CAN frames pass between two sockets of a virtual bus") {
    const unsigned interface = ::if_nametoindex("vcan0");
    if (interface == 0) skip("no interface vcan0");
    Running running;
    auto one = Descriptor::adopt(can_socket(interface));
    auto other = Descriptor::adopt(can_socket(interface));
    REQUIRE(one.has_value());
    REQUIRE(other.has_value());
    running.must_run(passes_a_frame(*running, *one, *other));
}

TEST_CASE("line events of a GPIO chip are waited for until a deadline") {
    const Fd chip(::open("/dev/gpiochip0", O_RDONLY | O_CLOEXEC));
    if (!chip) skip("no /dev/gpiochip0");
    gpio_v2_line_request request{};
    request.num_lines = 1;
    request.config.flags = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING;
    if (::ioctl(chip.get(), GPIO_V2_GET_LINE_IOCTL, &request) < 0)
        skip("line 0 of /dev/gpiochip0 reports no edges, or is taken");
    Running running;
    auto line = Descriptor::adopt(request.fd);
    REQUIRE(line.has_value());
    running.must_run([](Scheduler&, Descriptor& events) -> Task<> {
        gpio_v2_line_event event{};
        const auto got = co_await events.read(writable_bytes_of(event)).within(1ms);
        CHECK_IN_TASK((got.has_value() || got.error() == Errc::timed_out));
    }(*running, *line));
}

// --- descriptors of other threads

constexpr std::size_t remotes_count = 40;

Task<> waits_for_post(Scheduler&, std::span<Remote> remotes, std::size_t index,
                      std::atomic<std::size_t>& waiting) {
    ++waiting;
    WEIR_CO_TRY(const auto posts, remotes[index].wait());
    CHECK_IN_TASK(posts == 1);
    // The thread posts to the last one alone.
    if (index + 1 == remotes.size()) {
        for (Remote& other : remotes.first(index)) other.post();
    }
}
Task<> spawns_waiters(Scheduler& scheduler, Group& group, std::span<Remote> remotes,
                      std::atomic<std::size_t>* waiting) {
    for (std::size_t i = 0; i < remotes.size(); ++i) {
        const auto spawned = group.spawn(waits_for_post(scheduler, remotes, i, *waiting));
        CHECK_IN_TASK(spawned.has_value());
    }
    co_return;
}
Task<> waits_for_all(Scheduler& scheduler, std::span<Remote> remotes, std::atomic<std::size_t>* waiting) {
    WEIR_CO_CHECK(with_group<remotes_count>(scheduler, spawns_waiters, remotes, waiting));
}
TEST_CASE("a post of another thread is seen among forty that are waited for") {
    Running running;
    std::array<Remote, remotes_count> remotes;
    for (Remote& remote : remotes) {
        auto made = Remote::create();
        REQUIRE(made.has_value());
        remote = std::move(*made);
    }
    std::atomic<std::size_t> waiting{0};
    std::thread poster([&] {
        while (waiting.load() < remotes_count) std::this_thread::yield();
        remotes.back().post();
    });
    running.must_run(waits_for_all(*running, remotes, &waiting));
    poster.join();
}

}  // namespace
