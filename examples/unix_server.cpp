// SPDX-License-Identifier: MIT
//
// A server on a unix socket: idle clients are hung up on, and SIGTERM ends it cleanly.
//
//     build/gcc/examples/unix_server          (listens at ./echo.sock)
//
// Two clients are tasks of the same program: one talks, one keeps silent. Shows: a listener and its path, a bounded
// group of sessions, deadlines, saying goodbye while stopping, and a path that goes with its server.
#include <weir/weir.hpp>

#include <array>
#include <csignal>
#include <cstdio>
#include <unistd.h>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr std::string_view path = "echo.sock";

Task<> session(Scheduler&, weir::UnixStream peer) {
    std::array<std::byte, 64> buffer;
    for (weir::Duration patience = 50ms;; patience = 60s) {  // a client says something at once, or goes
        auto request = co_await peer.read(buffer).within(patience);
        if (!request && request.error() == weir::Errc::timed_out) co_return;  // idle: hang up
        if (!request && request.error() == weir::Errc::cancelled) {
            // The server is stopping. A shield is what may still be awaited under a stop, for a bounded time.
            WEIR_CO_CHECK(weir::shielded(1s, peer.write_all(weir::bytes_of("going down"))));
            co_return;
        }
        WEIR_CO_TRY(const auto bytes, request);
        if (bytes.empty()) co_return;
        WEIR_CO_CHECK(peer.write_all(bytes).within(1s));
    }
}
void note(const weir::Error& error, void*) noexcept {
    weir::report(error);  // of one session; the others go on
}
Task<> accept_loop(Scheduler& scheduler, weir::Group& sessions, weir::UnixListener& listener) {
    for (;;) {
        WEIR_CO_TRY(auto peer, listener.accept());
        const auto started = sessions.spawn(session(scheduler, std::move(peer)));
        if (!started) weir::report(started.error());  // the fifth client at a time: hung up on
    }
}
Task<> serve(Scheduler& scheduler, weir::UnixListener& listener) {
    WEIR_CO_CHECK(weir::with_group<4>(scheduler, weir::collect(note), accept_loop, std::ref(listener)));
}
Task<> clients(Scheduler&) {
    WEIR_CO_TRY(auto silent, weir::UnixStream::connect(path).within(1s));
    std::array<std::byte, 16> buffer;
    WEIR_CO_TRY(const auto nothing, silent.read(buffer).within(5s));
    std::printf("silent client: %s\n", nothing.empty() ? "hung up on" : "got an answer");

    WEIR_CO_TRY(auto talker, weir::UnixStream::connect(path).within(1s));
    WEIR_CO_CHECK(talker.write_all(weir::bytes_of("hello")));
    WEIR_CO_TRY(const auto echoed, talker.read_exactly(weir::Bytes(buffer).first(5)).within(5s));
    std::printf("talking client: %.*s\n", 5, weir::text_of(echoed).data());
    ::kill(::getpid(), SIGTERM);  // as an operator would
    WEIR_CO_TRY(const auto goodbye, weir::shielded(5s, talker.read_exactly(weir::Bytes(buffer).first(10))));
    std::printf("talking client: %.*s\n", 10, weir::text_of(goodbye).data());
}
Task<> program(Scheduler& scheduler) {
    WEIR_CO_TRY(auto quit, weir::SignalSet::block({SIGINT, SIGTERM}));
    WEIR_CO_TRY(auto listener, weir::UnixListener::bind(path, {.mode = 0600, .backlog = 4}));
    // The signal is the first to end; then the server and its sessions are asked to stop, and all are joined.
    auto ended = co_await weir::first_of(quit.next(), serve(scheduler, listener),
                                         weir::shielded(30s, clients(scheduler)));
    WEIR_CO_CHECK(ended.get<2>());
    listener.close();
    std::printf("stopped by %s; the path is %s\n", ended.index() == 0 ? "a signal" : "an error",
                ::access(path.data(), F_OK) == 0 ? "still there" : "gone");
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, program);
}
