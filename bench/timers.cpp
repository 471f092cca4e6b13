// SPDX-License-Identifier: MIT

#include "timers.hpp"

#include <cstdio>
#include <string_view>

namespace bench {

int timers_main(std::span<char* const> arguments, Turns (*run)(std::size_t steps)) {
    if (arguments.size() == 3 && std::string_view(arguments[1]) == "million") {
        const std::size_t steps = count_from(arguments[2]);
        pin_to_one_core();
        const Turns turns = run(steps);
        print_ns(static_cast<double>(turns.total_ns()) / static_cast<double>(turns.timers_ended()));
        print_extra("longest_turn_ns", static_cast<double>(turns.longest_ns()));
        print_extra("timers_ended", static_cast<double>(turns.timers_ended()));
        return 0;
    }
    std::fprintf(stderr, "usage: %s million STEPS\n", arguments[0]);
    return 2;
}

}  // namespace bench
