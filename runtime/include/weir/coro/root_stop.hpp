// SPDX-License-Identifier: MIT
//
// Parts of the program that stop.
//
// A program whose root task awaits a group or a combinator stops when that does: from then on Budget::grace_ms is
// counted. Such parts may lie side by side or within each other, so the context counts them.
#pragma once

#include "weir/coro/task.hpp"

#include <utility>

namespace weir {

/// Tells the context that something which the root task awaits was asked to stop, and that it has ended.
class RootStop {
public:
    /// What `task` awaits was asked to stop. Only the first call counts, and only of the root task.
    void begin(const TaskState& task) noexcept {
        if (context_ != nullptr || task.parent() != nullptr) return;
        context_ = &task.context();
        context_->stop_began();
    }
    /// It has ended. Does nothing if it was never asked.
    void end() noexcept {
        if (context_ != nullptr) std::exchange(context_, nullptr)->stop_ended();
    }

private:
    Context* context_ = nullptr;
};

}  // namespace weir
