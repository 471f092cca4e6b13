// SPDX-License-Identifier: MIT
//
// Something that is done once at the end of a turn, however often it became necessary in it.
//
// Scheduler::at_turn_end() takes it; it is called between tasks when the turn's items have run, before the scheduler
// looks for anything new or blocks.
#pragma once

#include "weir/core/list.hpp"

namespace weir {

struct TurnEnds;  // the list tag

/// Pinned while linked; unlink() withdraws it.
class TurnEnd : public ListNode<TurnEnds> {
public:
    using Run = void (*)(TurnEnd&) noexcept;
    explicit TurnEnd(Run function) noexcept : run_(function) {}
    void run() noexcept { run_(*this); }

private:
    Run run_;
};

}  // namespace weir
