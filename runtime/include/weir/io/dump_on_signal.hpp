// SPDX-License-Identifier: MIT
//
// Looking into a running service: kill -USR1 PID writes its task tree.
//
//     if (auto started = group.spawn(dump_on_signal(scheduler, SIGUSR1)); !started) report(started.error());
//
// It ends only when it is stopped, and a group waits for its children: a body that ends by itself has to call
// group.request_stop() in the end. An arm of first_of(…) is stopped by the other arms.
#pragma once

#include "weir/io/signal.hpp"

namespace weir {

/// A task that writes Scheduler::dump() to `fd` each time `signal` arrives, until it is stopped. Ends with the error of
/// SignalSet::block() if the signal cannot be blocked. The writing blocks: give it a terminal, a file or a log.
Task<> dump_on_signal(Scheduler& scheduler, int signal, int fd = 2);

}  // namespace weir
