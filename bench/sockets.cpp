// SPDX-License-Identifier: MIT

#include "sockets.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <tuple>

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace bench {

namespace {

constexpr std::size_t rounds_to_warm_up = 2;

struct Connections {
    std::array<int, connection_count> server;
    std::array<int, connection_count> client;
};

void allow_descriptors(rlim_t count) {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
    if (limit.rlim_cur >= count) return;
    if (limit.rlim_max < count) skip("not enough descriptors are allowed here (ulimit -n)");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
}

// As a server's own sockets do that take none: then a short read has emptied the socket for certain. An older kernel than
// Linux 6.16 cannot; the loops by hand rely on it all the same.
void keep_descriptors_out(int socket) {
    constexpr int pass_rights_option = 83;  // SO_PASSRIGHTS
    const int no = 0;
    std::ignore = setsockopt(socket, SOL_SOCKET, pass_rights_option, &no, sizeof(no));
}

Connections open_connections() {
    Connections made{};
    for (std::size_t i = 0; i < connection_count; ++i) {
        std::array<int, 2> pair{};
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) != 0) fail("socketpair");
        made.server[i] = pair[0];
        made.client[i] = pair[1];
        if (fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
        keep_descriptors_out(pair[0]);
    }
    return made;
}

void close_all(std::span<const int> sockets) {
    for (const int socket : sockets) close(socket);
}

std::uint64_t processor_ns(clockid_t clock) {
    timespec now{};
    if (clock_gettime(clock, &now) != 0) fail("clock_gettime of the server");
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

void make_a_round(std::span<const int> sockets) {
    EchoBuffer buffer{};
    for (const int socket : sockets) {
        if (send(socket, buffer.data(), echo_size, MSG_NOSIGNAL) != echo_size) fail("send");
    }
    for (const int socket : sockets) {
        if (recv(socket, buffer.data(), buffer.size(), 0) != echo_size) fail("receive an echo");
    }
}

// Of the rounds' means the median, as for all other rows.
double measure(Serve serve, std::size_t echoes) {
    allow_descriptors(2 * connection_count + 64);
    pin_to_one_core();
    const sched_param none{};
    if (sched_setscheduler(0, SCHED_BATCH, &none) != 0) fail("sched_setscheduler");
    const Connections connections = open_connections();
    const pid_t server = fork();
    if (server < 0) fail("fork");
    if (server == 0) {
        close_all(connections.client);
        serve(connections.server);
        _exit(0);
    }
    close_all(connections.server);
    clockid_t clock{};
    if (clock_getcpuclockid(server, &clock) != 0) fail("clock_getcpuclockid");
    for (std::size_t i = 0; i < rounds_to_warm_up; ++i) make_a_round(connections.client);

    std::vector<std::uint64_t> rounds_ns((echoes + connection_count - 1) / connection_count);
    for (std::uint64_t& round_ns : rounds_ns) {
        const std::uint64_t before_ns = processor_ns(clock);
        make_a_round(connections.client);
        round_ns = processor_ns(clock) - before_ns;
    }

    close_all(connections.client);
    int status = 0;
    if (waitpid(server, &status, 0) != server) fail("waitpid");
    if (status != 0) {
        std::fprintf(stderr, "the server failed: status 0x%x\n", static_cast<unsigned>(status));
        std::exit(1);
    }
    const auto middle = rounds_ns.begin() + static_cast<std::ptrdiff_t>(rounds_ns.size() / 2);
    std::nth_element(rounds_ns.begin(), middle, rounds_ns.end());
    return static_cast<double>(*middle) / connection_count;
}

}  // namespace

int sockets_main(std::span<char* const> arguments, std::span<const NamedServer> servers) {
    if (arguments.size() == 3) {
        for (const auto& [name, serve] : servers) {
            if (arguments[1] != name) continue;
            print_ns(measure(serve, count_from(arguments[2])));
            return 0;
        }
    }
    std::fprintf(stderr, "usage: %s APPROACH ECHOES\napproaches:", arguments[0]);
    for (const auto& server : servers) {
        std::fprintf(stderr, " %.*s", static_cast<int>(server.name.size()), server.name.data());
    }
    std::fprintf(stderr, "\n");
    return 2;
}

}  // namespace bench
