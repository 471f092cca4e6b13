// SPDX-License-Identifier: MIT
//
// Stands in for the recorder where weir is built without budget records: none ever begins. `weir budget` says so.
#include "scheduler/budget_recorder.hpp"

namespace weir {

Result<BudgetRecorder*> BudgetRecorder::begin_where_asked(Scheduler&) noexcept {
    return nullptr;
}
void BudgetRecorder::mark_stack(std::uintptr_t) noexcept {}
void BudgetRecorder::note_end_of_root() noexcept {}
void BudgetRecorder::end() noexcept {}
void BudgetRecorder::end_in_the_middle() noexcept {}

}  // namespace weir
