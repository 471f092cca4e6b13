// SPDX-License-Identifier: MIT

#include "tasks.hpp"

#include <cstdio>
#include <string_view>

namespace bench {

int tasks_main(std::span<char* const> arguments, const TaskPrograms& programs) {
    constexpr std::string_view switch_prefix = "switch-";
    if (arguments.size() == 3) {
        const std::string_view variant = arguments[1];
        const std::size_t operations = count_from(arguments[2]);
        if (variant.starts_with(switch_prefix)) {
            const std::size_t task_count = count_from(arguments[1] + switch_prefix.size());
            pin_to_one_core();
            print_ns(programs.switch_ns(task_count, operations));
            return 0;
        }
        if (variant == "child") {
            pin_to_one_core();
            print_ns(programs.child_ns(operations));
            return 0;
        }
    }
    std::fprintf(stderr, "usage: %s {switch-N,child} OPERATIONS\n", arguments[0]);
    return 2;
}

}  // namespace bench
