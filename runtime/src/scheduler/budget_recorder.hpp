// SPDX-License-Identifier: MIT
//
// Keeps one scheduler's budget record.
#pragma once

#include "weir/core/result.hpp"
#include "weir/coro/frame_census.hpp"
#include "weir/scheduler/budget_record.hpp"

#include <cstddef>
#include <cstdint>

namespace weir {

class Scheduler;

class BudgetRecorder {
public:
    /// If $WEIR_BUDGET names a file and the program gained no privileges by exec: takes a record in it, which is made if
    /// there is none, and counts the scheduler's frames from now on. Else null; and where the file has no record left,
    /// which the file says. Errors: those of open(2) and mmap(2), wrong_kind (no plain file), mismatch (another layout).
    static Result<BudgetRecorder*> begin_where_asked(Scheduler& scheduler) noexcept;
    BudgetRecorder(const BudgetRecorder&) = delete;
    BudgetRecorder& operator=(const BudgetRecorder&) = delete;
    ~BudgetRecorder() = default;

    /// Marks the stack below the caller, down to `floor`; 0: the scheduler has no limit, as far as is usual.
    void mark_stack(std::uintptr_t floor) noexcept;
    [[nodiscard]] bool marked_stack() const noexcept { return stack_low_ != 0; }
    /// Writes down what was used, of the stack too: how far the marks are gone, which are then forgotten.
    void note_end_of_root() noexcept;
    /// The last word: the frames are counted no longer, and the recorder is gone.
    void end() noexcept;
    /// The same where tasks live on: what they have stays where it is.
    void end_in_the_middle() noexcept;

private:
    static Result<BudgetRecorder*> begin(const char* path, Scheduler& scheduler) noexcept;
    void measure_stack() noexcept;
    void note() noexcept;
    BudgetRecorder(Scheduler& scheduler, BudgetFile& file, BudgetRecord& record) noexcept;

    Scheduler& scheduler_;
    BudgetFile& file_;
    BudgetRecord& record_;
    FrameCensus census_;
    std::uintptr_t stack_low_ = 0;   // the marks lie from here
    std::uintptr_t stack_high_ = 0;  // to here
    std::uintptr_t stack_base_ = 0;  // what is used is counted from here
};

}  // namespace weir
