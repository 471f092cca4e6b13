// SPDX-License-Identifier: MIT
#pragma once

namespace bench {

/// Names the descriptor to which marks report, in the environment of a program that bench_count_calls starts.
inline constexpr const char* count_to = "WEIR_BENCH_COUNT_TO";

/// Each side calls it where the load begins and where it ends. In a program that bench_count_calls started, the second call
/// tells it how many system calls the thread made in between, counted by the kernel. Otherwise it does nothing.
void mark_load();

}  // namespace bench
