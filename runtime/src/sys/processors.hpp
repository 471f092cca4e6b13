// SPDX-License-Identifier: MIT
//
// What is known of the processors that this thread may run on.
#pragma once

namespace weir::sys {

/// Whether this thread may run on one processor only, as its affinity says now. False where that cannot be told.
[[nodiscard]] bool has_one_processor() noexcept;

/// Tells the processor that the thread looks at memory in a loop: it saves power, and leaves its twin more room.
void spin_hint() noexcept;

}  // namespace weir::sys
