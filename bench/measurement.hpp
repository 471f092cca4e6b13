// SPDX-License-Identifier: MIT
//
// Measurement: the clock, the core and the median that every benchmark program shares.
//
// A run is cut into batches that are short against a scheduler's time slice. Each batch gives one
// mean, and the run's figure is the median of those means: a batch that another program interrupted
// is an outlier and drops out, and the clock is read too seldom to matter.
//
// A program prints its figure in nanoseconds on the first line of its output, and on further lines
// `name value` for whatever else it found out. Exit status 77 says that the variant cannot be run
// here; the reason is on standard error.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

[[nodiscard]] std::uint64_t now_ns() noexcept;

/// Confines this process, and those it forks later, to the highest CPU that it may use. Whoever
/// wants another one restricts the program from outside (`taskset -c 0 …`).
void pin_to_one_core();

/// Confines this process, and those it forks later, to the highest CPU that it may use but `skipped` ones. Ends the
/// program with the status "not here" when there are too few.
void pin_to_core(std::size_t skipped);

/// The number that the user typed; ends the program when it is none, or zero.
[[nodiscard]] std::size_t count_from(const char* text);

/// Ends the program: something failed that never should, with errno's text.
[[noreturn]] void fail(const char* what);

/// Ends the program with the status that means "not here", and the reason.
[[noreturn]] void skip(const char* reason);

class Batches {
public:
    /// Rounds `operations` up to whole batches.
    Batches(std::size_t operations, std::size_t batch_operations);

    [[nodiscard]] std::size_t batch_operations() const noexcept { return batch_operations_; }
    [[nodiscard]] std::size_t operations() const noexcept { return batch_operations_ * laps_ns_.size(); }

    void start() noexcept { started_ns_ = now_ns(); }

    /// Ends a batch and starts the next one. False when this was the last.
    bool lap() noexcept {
        const std::uint64_t now = now_ns();
        laps_ns_[lap_index_++] = now - started_ns_;
        started_ns_ = now;
        return lap_index_ < laps_ns_.size();
    }

    /// Per operation. All batches must have ended.
    [[nodiscard]] double median_ns() const;

private:
    std::size_t batch_operations_;
    std::size_t lap_index_ = 0;
    std::uint64_t started_ns_ = 0;
    std::vector<std::uint64_t> laps_ns_;  // reserved beforehand: no page fault inside a run
};

void print_ns(double per_operation_ns);
void print_extra(const char* name, double value);

}  // namespace bench
