// SPDX-License-Identifier: MIT
#include "weir/coro/context.hpp"

namespace weir {

Error Context::why_not_begun(bool hollow) const noexcept {
    if (hollow) return frames.refusal("task");
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    return {.code = Errc::no_stack,
            .system_errno = 0,
            .operation = "task",
            .a = stack_floor_ + stack_bytes_ - here,
            .b = stack_bytes_};
}

}  // namespace weir
