// SPDX-License-Identifier: MIT
//
// The system calls of a weir service. system_calls.txt is the list; the table is made of it when the tool is built.
#pragma once

#include <cstdint>
#include <span>

namespace weir::tool {

struct SystemCall {
    enum class Backend : std::uint8_t { both, epoll, io_uring };  ///< which needs it
    const char* name;
    long number;  ///< on this architecture; -1 where it has none
    Backend backend;
};

/// In the list's order.
extern const std::span<const SystemCall> system_calls;

}  // namespace weir::tool
