// SPDX-License-Identifier: MIT
//
// How often something that dies is started again.
//
// At once at first, then after pauses that double from 10 ms up to half a second; at most 10 times within 10 s. What
// dies more often will not be mended by another try: then it is time to fail where people see it.
#pragma once

#include <weir/core/time.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

namespace leak {

class RestartPolicy {
public:
    static constexpr std::size_t restarts_max = 10;
    static constexpr weir::Duration window = std::chrono::seconds(10);
    static constexpr weir::Duration pause_first = std::chrono::milliseconds(10);
    static constexpr weir::Duration pause_max = std::chrono::milliseconds(500);

    /// A death at `now`: how long to wait before the next start, or nothing: no more.
    std::optional<weir::Duration> died(weir::Instant now) {
        std::size_t recent = 0;
        for (const weir::Instant death : deaths_) {
            if (death != weir::Instant{} && now - death < window) ++recent;
        }
        if (recent == restarts_max) return std::nullopt;
        deaths_[next_] = now;
        next_ = (next_ + 1) % restarts_max;
        if (recent == 0) return weir::Duration::zero();
        weir::Duration pause = pause_first;
        for (std::size_t i = 1; i < recent; ++i) pause = std::min(pause * 2, pause_max);
        return pause;
    }

private:
    std::array<weir::Instant, restarts_max> deaths_{};
    std::size_t next_ = 0;
};

}  // namespace leak
