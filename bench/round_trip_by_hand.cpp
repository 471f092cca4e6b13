// SPDX-License-Identifier: MIT
//
// bench_round_trip: the approaches that use nothing but the kernel.

#include "round_trip.hpp"

int main(int argc, char** argv) {
    constexpr std::array approaches{
        bench::NamedApproach{"plain", bench::plain_calls},
        bench::NamedApproach{"epoll-loop", bench::epoll_loop},
        bench::NamedApproach{"uring-loop", bench::uring_loop},
    };
    return bench::round_trip_main(std::span(argv, static_cast<std::size_t>(argc)), approaches);
}
