// SPDX-License-Identifier: MIT
//
// Echo: what comes in on standard input goes out on standard output, each of them a pipe.
//
//     printf 'hello\nworld\n' | build/gcc/examples/pipe_echo | cat
//
// Shows: a task, handles adopted from descriptors that were there before us, reading to the end, and how a task leaves
// with the first error.
#include <weir/weir.hpp>

#include <array>
#include <unistd.h>

using weir::Scheduler, weir::Task;

Task<> echo(Scheduler&) {
    // adopt() checks that the descriptor is what we take it for. Started from a terminal, this is "wrong kind".
    WEIR_CO_TRY(auto input, weir::PipeReader::adopt(STDIN_FILENO));
    WEIR_CO_TRY(auto output, weir::PipeWriter::adopt(STDOUT_FILENO));
    std::array<std::byte, 512> buffer;  // lives in this task's frame, and so across each await
    for (;;) {
        WEIR_CO_TRY(const auto bytes, input.read(buffer));  // suspends while the pipe is empty
        if (bytes.empty()) co_return;                       // all writers have closed it
        WEIR_CO_CHECK(output.write_all(bytes));             // suspends while the reader is behind
    }
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, echo);
}
