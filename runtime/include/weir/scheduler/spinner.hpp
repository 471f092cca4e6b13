// SPDX-License-Identifier: MIT
//
// Whether it is worth while to look at shared memory for some microseconds before the thread blocks.
//
// A wake-up through the kernel costs both sides thousands of cycles, so a short look that finds something pays at once.
// One that finds nothing has cost its whole span. After each look in vain more sleeps go without one (1, 3, 7, … 255),
// after the first that found something none does. So an idle or slow peer costs at most one look in 256 sleeps, and a
// peer that became busy is noticed after as many.
#pragma once

#include "weir/core/time.hpp"

#include <algorithm>
#include <cstdint>

namespace weir {

class Spinner {
public:
    static constexpr std::uint32_t skipped_max = 255;

    constexpr Spinner() noexcept = default;

    /// Zero turns it off.
    void set_limit(Duration limit) noexcept { limit_ = limit; }
    [[nodiscard]] Duration limit() const noexcept { return limit_; }

    /// Asked once for each sleep.
    [[nodiscard]] bool worthwhile() noexcept {
        if (limit_ <= Duration::zero()) return false;
        if (to_skip_ == 0) return true;
        --to_skip_;
        return false;
    }
    void found() noexcept {
        ++found_;
        penalty_ = 0;
    }
    void in_vain() noexcept {
        ++in_vain_;
        penalty_ = std::min(2 * penalty_ + 1, skipped_max);
        to_skip_ = penalty_;
    }

    [[nodiscard]] std::uint64_t found_count() const noexcept { return found_; }
    [[nodiscard]] std::uint64_t in_vain_count() const noexcept { return in_vain_; }

private:
    Duration limit_{};
    std::uint32_t penalty_ = 0;
    std::uint32_t to_skip_ = 0;
    std::uint64_t found_ = 0;
    std::uint64_t in_vain_ = 0;
};

}  // namespace weir
