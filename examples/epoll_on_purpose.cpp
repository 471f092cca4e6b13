// SPDX-License-Identifier: MIT
//
// A program that wants epoll, whatever the kernel offers: for few descriptors it is the faster of the two.
//
//     build/gcc/examples/epoll_on_purpose
//
// Shows: choosing the backend in the program ($WEIR_BACKEND is then ignored), and asking which it is and why. A backend
// asked for by name is that one, or the program does not start.
#include <weir/weir.hpp>

#include <cstdio>

using weir::Scheduler, weir::Task;

Task<> tell(Scheduler& scheduler) {
    const auto name = scheduler.backend_name();
    const auto reason = scheduler.backend_reason();
    std::printf("backend: %.*s\n", static_cast<int>(name.size()), name.data());
    std::printf("reason: %.*s\n", static_cast<int>(reason.size()), reason.data());

    WEIR_CO_TRY(auto pipe, weir::Pipe::create());
    WEIR_CO_CHECK(pipe.writer.write_all(weir::bytes_of("as ever")));
    std::array<std::byte, 7> buffer;
    WEIR_CO_CHECK(pipe.reader.read_exactly(buffer));
    std::printf("a pipe works %.*s\n", 7, weir::text_of(buffer).data());
}

int main(int argc, char** argv) {
    return weir::run_main<weir::small_budget>(argc, argv, tell, {.backend = weir::BackendChoice::epoll});
}
