// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// What a test program counted, and the lines it ends with. tools/test reads them, so their form is fixed:
///
///     skipped: <test> (<reason>)
///     seeds run: N
///     suite <name>: N passed, N failed, N skipped

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace weir::test {

/// Counts test cases, not assertions.
class Totals {
public:
    /// The running test case asks to be skipped.
    void note_skip(const std::string& reason) { pending_skip_ = reason; }

    /// A test case ended. A failure counts even when the test also asked to be skipped.
    void note_end(const std::string& test, bool failed);

    /// No test case of the program was started; they share one line `skipped: all N tests (<reason>)`.
    void note_none_run(std::uint64_t tests, const std::string& reason);

    /// A test body ran on one more seed.
    void note_seed() { ++seeds_run_; }

    [[nodiscard]] std::uint64_t passed() const { return passed_; }
    [[nodiscard]] std::uint64_t failed() const { return failed_; }
    [[nodiscard]] std::uint64_t skipped() const { return skipped_; }

    void print(std::FILE* out, const std::string& suite) const;

private:
    struct Skip {
        std::string test;
        std::string reason;
    };

    std::string pending_skip_;
    std::vector<Skip> skips_;
    std::uint64_t passed_ = 0;
    std::uint64_t failed_ = 0;
    std::uint64_t skipped_ = 0;
    std::uint64_t seeds_run_ = 0;
};

/// The counts of this program.
[[nodiscard]] Totals& totals();

}  // namespace weir::test
