// SPDX-License-Identifier: MIT
//
// bench_sockets: the servers that use nothing but the kernel.

#include "sockets.hpp"

int main(int argc, char** argv) {
    constexpr std::array servers{
        bench::NamedServer{"epoll-loop", bench::serve_by_epoll},
        bench::NamedServer{"uring-loop", bench::serve_by_uring},
        bench::NamedServer{"uring-sends", bench::serve_by_uring_sends},
        bench::NamedServer{"uring-polls", bench::serve_by_uring_polls},
        bench::NamedServer{"uring-whole", bench::serve_by_uring_whole},
    };
    return bench::sockets_main(std::span(argv, static_cast<std::size_t>(argc)), servers);
}
