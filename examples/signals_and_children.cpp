// SPDX-License-Identifier: MIT
//
// Children and signals: start programs, read what they print, be told of their end; take signals as values.
//
//     build/gcc/examples/signals_and_children
//
// Shows: a child's output through a pipe, its exit status, a signal that a child sends us, ending a child gently, and
// killing one that does not listen.
#include <weir/weir.hpp>

#include <array>
#include <csignal>
#include <cstdio>

using namespace std::chrono_literals;
using weir::Process, weir::Scheduler, weir::Stdio, weir::Task;

// The arguments' lifetime: spawn() reads them and is done with them when it returns.
weir::Result<Process> start_shell(const char* script, Stdio input, Stdio output) {
    const char* const arguments[] = {"sh", "-c", script};
    return Process::spawn({.path = "/bin/sh", .arguments = arguments, .input = input, .output = output});
}

Task<> output_and_status(Scheduler&) {
    WEIR_CO_TRY(auto child, start_shell("echo ready; exit 3", Stdio::null(), Stdio::pipe()));
    std::array<std::byte, 6> line;
    WEIR_CO_CHECK(child.output.read_exactly(line).within(30s));
    std::printf("it printed: %.*s\n", 5, weir::text_of(line).data());
    WEIR_CO_TRY(const auto exit, child.exit().within(30s));
    std::printf("it exited with %d\n", exit.value);
}

Task<> told_by_signal(Scheduler&, weir::SignalSet& signals) {
    // The child tells us that it is ready, then waits for a line that never comes.
    WEIR_CO_TRY(auto child, start_shell("kill -USR1 $PPID; read never", Stdio::pipe(), Stdio::null()));
    WEIR_CO_TRY(const auto signal, signals.next().within(30s));
    std::printf("SIGUSR1: %s, from %s\n", signal.signal == SIGUSR1 ? "yes" : "no",
                signal.pid == child.pid() ? "the child" : "somebody else");
    WEIR_CO_CHECK(child.signal(SIGTERM));
    WEIR_CO_TRY(const auto exit, child.exit().within(30s));
    std::printf("it was ended by SIGTERM: %s\n", exit.signaled && exit.value == SIGTERM ? "yes" : "no");
}

Task<> deaf_child(Scheduler&) {
    WEIR_CO_TRY(auto child, start_shell("trap '' TERM; echo; read never", Stdio::pipe(), Stdio::pipe()));
    std::array<std::byte, 1> line;
    WEIR_CO_CHECK(child.output.read_exactly(line).within(30s));  // from now on it ignores SIGTERM
    WEIR_CO_CHECK(child.signal(SIGTERM));
    const auto exit = co_await child.exit().within(20ms);
    if (!exit && exit.error() == weir::Errc::timed_out) std::puts("it does not listen");
    // Its destructor kills and reaps: nothing outlives this task.
}

Task<> program(Scheduler& scheduler) {
    // Blocked before the first child exists, so that none of its signals is missed.
    WEIR_CO_TRY(auto signals, weir::SignalSet::block({SIGUSR1}));
    WEIR_CO_CHECK(output_and_status(scheduler));
    WEIR_CO_CHECK(told_by_signal(scheduler, signals));
    WEIR_CO_CHECK(deaf_child(scheduler));
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, program);
}
