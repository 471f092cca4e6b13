// SPDX-License-Identifier: MIT
//
// A child that is started again when it dies, and ended gently when the program is.
//
//     build/gcc/examples/restarted_child
//
// The child is a shell that dies twice, each time in another way; the third one asks us to stop, as an operator would by
// SIGTERM. Shows: a pause that grows with each death, the difference between a child's end and our own stop, and a goodbye
// that is awaited while stopping. With `death_signal` the child does not outlive a supervisor that is killed.
#include <weir/weir.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>

using namespace std::chrono_literals;
using weir::Process, weir::Scheduler, weir::Task;

constexpr const char* script =
    "case $1 in"
    " 1) kill -KILL $$ ;;"
    " 2) exit 3 ;;"
    " *) kill -TERM $PPID; read never ;;"
    "esac";

weir::Result<Process> start(int number) {
    std::array<char, 12> text;
    std::snprintf(text.data(), text.size(), "%d", number);
    const char* const arguments[] = {"sh", "-c", script, "sh", text.data()};
    // In a group of its own, so that ^C at our terminal reaches us alone, and we end it in our own way.
    return Process::spawn({.path = "/bin/sh",
                           .arguments = arguments,
                           .input = weir::Stdio::pipe(),
                           .death_signal = SIGTERM,
                           .new_group = true});
}

Task<> keep_running(Scheduler&) {
    weir::Duration pause = 10ms;
    for (int number = 1;; ++number) {
        std::printf("start %d\n", number);
        WEIR_CO_TRY(auto child, start(number));
        const auto ended = co_await child.exit();
        if (!ended && ended.error() == weir::Errc::cancelled) {
            // We are stopping, and it runs still (or has ended this very moment, and does not hear the signal).
            std::ignore = child.signal(SIGTERM);
            WEIR_CO_TRY(const auto last, weir::shielded(5s, child.exit()));
            std::printf("asked to end, it did: %s\n",
                        last.signaled && last.value == SIGTERM ? "by SIGTERM" : "in its own way");
            co_return;  // after five seconds without an end, the error and the child's destructor, which kills it
        }
        WEIR_CO_TRY(const auto exit, ended);
        std::printf("it %s %d\n", exit.signaled ? "was killed by signal" : "exited with", exit.value);
        WEIR_CO_CHECK(weir::sleep_for(pause));
        pause =
            std::min<weir::Duration>(2 * pause, 5s);  // one that dies at once must not keep the machine busy
    }
}

Task<> program(Scheduler& scheduler) {
    WEIR_CO_TRY(auto quit, weir::SignalSet::block({SIGINT, SIGTERM}));
    // The signal ends first and stops the other arm, whose goodbye is waited for.
    auto ended = co_await weir::first_of(quit.next(), keep_running(scheduler));
    WEIR_CO_CHECK(ended.get<1>());
    std::puts("nothing is left");
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, program);
}
