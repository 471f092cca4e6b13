// SPDX-License-Identifier: MIT
#include "totals.hpp"

#include <cinttypes>
#include <utility>

namespace weir::test {

void Totals::note_end(const std::string& test, bool failed) {
    std::string reason = std::exchange(pending_skip_, {});
    if (failed) {
        ++failed_;
    } else if (!reason.empty()) {
        ++skipped_;
        skips_.push_back({test, std::move(reason)});
    } else {
        ++passed_;
    }
}

void Totals::note_none_run(std::uint64_t tests, const std::string& reason) {
    skipped_ += tests;
    skips_.push_back({"all " + std::to_string(tests) + " tests", reason});
}

void Totals::print(std::FILE* out, const std::string& suite) const {
    for (const Skip& skip : skips_) {
        std::fprintf(out, "skipped: %s (%s)\n", skip.test.c_str(), skip.reason.c_str());
    }
    if (seeds_run_ != 0) {
        std::fprintf(out, "seeds run: %" PRIu64 "\n", seeds_run_);
    }
    std::fprintf(out, "suite %s: %" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " skipped\n",
                 suite.c_str(), passed_, failed_, skipped_);
    std::fflush(out);
}

Totals& totals() {
    static Totals instance;
    return instance;
}

}  // namespace weir::test
