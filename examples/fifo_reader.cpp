// SPDX-License-Identifier: MIT
//
// A FIFO that writers come to and leave again.
//
//     build/gcc/examples/fifo_reader          (makes ./readings.fifo, and removes it in the end)
//
// The writers are tasks here; from a shell it would be `echo 21.5 > readings.fifo`. Shows: a path that outlives each of
// its writers, a reader that sees one stream, and waiting for a reader to appear.
#include <weir/weir.hpp>

#include <array>
#include <cstdio>

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr std::string_view path = "readings.fifo";

Task<> write_one(Scheduler&, std::string_view line) {
    // Waits until the path is there and somebody reads it; without a deadline for ever.
    WEIR_CO_TRY(auto writer, weir::FifoWriter::open(path).within(5s));
    // Up to 4,096 bytes go in one piece, so lines of several writers never mix.
    WEIR_CO_CHECK(writer.write_all(weir::bytes_of(line)).within(1s));
}  // the writer closes here; the reader's stream goes on

Task<> writers(Scheduler& scheduler) {
    for (const std::string_view line : {"21.5\n", "21.7\n", "22.0\n"}) {
        WEIR_CO_CHECK(write_one(scheduler, line));
    }
}

Task<> reader(Scheduler&) {
    // The default options: mode 0600, kept open between writers, removed when the reader closes.
    WEIR_CO_TRY(auto fifo, weir::FifoReader::create(path));
    for (int i = 1; i <= 3; ++i) {
        std::array<std::byte, 5> line;
        WEIR_CO_CHECK(fifo.read_exactly(line).within(5s));
        const auto text = weir::text_of(line).substr(0, 4);
        std::printf("reading %d: %.*s\n", i, static_cast<int>(text.size()), text.data());
    }
}

Task<> both(Scheduler& scheduler) {
    // The writers start first, and wait for the FIFO to appear.
    WEIR_CO_CHECK(weir::all_of(writers(scheduler), reader(scheduler)));
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, both);
}
