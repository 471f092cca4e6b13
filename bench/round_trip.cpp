// SPDX-License-Identifier: MIT

#include "round_trip.hpp"

#include <cstdio>
#include <cstdlib>
#include <optional>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

namespace {

// About half a millisecond: well below the time slice of any program that shares the core.
constexpr std::size_t batch_round_trips = 64;

struct Pair {
    Ends parent;
    Ends child;
};

Pair open_pair(Transport transport) {
    std::array<int, 2> there{};
    std::array<int, 2> back{};
    switch (transport) {
        case Transport::pipe:
            if (pipe(there.data()) != 0 || pipe(back.data()) != 0) fail("pipe");
            return {.parent = {back[0], there[1]}, .child = {there[0], back[1]}};
        case Transport::unix_stream:
            if (socketpair(AF_UNIX, SOCK_STREAM, 0, there.data()) != 0) fail("socketpair");
            return {.parent = {there[0], there[0]}, .child = {there[1], there[1]}};
    }
    std::abort();
}

void close_ends(Ends ends) {
    close(ends.read_fd);
    if (ends.write_fd != ends.read_fd) close(ends.write_fd);
}

double measure(Transport transport, Approach approach, std::size_t round_trips) {
    pin_to_one_core();
    const Pair pair = open_pair(transport);
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        close_ends(pair.parent);
        approach.echo(pair.child);
        _exit(0);
    }
    close_ends(pair.child);
    Batches batches(round_trips, batch_round_trips);
    approach.ask(pair.parent, batches);
    // Asio and weir own what they were given and have closed it; closing twice is harmless here,
    // for nothing else opens descriptors any more.
    close_ends(pair.parent);
    int status = 0;
    if (waitpid(child, &status, 0) != child) fail("waitpid");
    if (status != 0) {
        std::fprintf(stderr, "the echoing process failed: status 0x%x\n", static_cast<unsigned>(status));
        std::exit(1);
    }
    return batches.median_ns();
}

std::optional<std::string_view> after(std::string_view text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return std::nullopt;
    return text.substr(prefix.size());
}

}  // namespace

int round_trip_main(std::span<char* const> arguments, std::span<const NamedApproach> approaches) {
    if (arguments.size() == 3) {
        const std::string_view variant = arguments[1];
        const auto on_pipe = after(variant, "pipe-");
        const auto on_stream = after(variant, "unix-stream-");
        for (const auto& [name, on] : approaches) {
            if (on_pipe != name && on_stream != name) continue;
            const Transport transport = on_pipe ? Transport::pipe : Transport::unix_stream;
            print_ns(measure(transport, on(transport), count_from(arguments[2])));
            return 0;
        }
    }
    std::fprintf(stderr, "usage: %s {pipe,unix-stream}-APPROACH ROUND_TRIPS\napproaches:", arguments[0]);
    for (const auto& approach : approaches) {
        std::fprintf(stderr, " %.*s", static_cast<int>(approach.name.size()), approach.name.data());
    }
    std::fprintf(stderr, "\n");
    return 2;
}

}  // namespace bench
