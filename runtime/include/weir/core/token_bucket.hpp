// SPDX-License-Identifier: MIT
//
// How often something may be done for somebody who is not trusted.
//
// The bucket holds `burst` tokens at first and gets a new one every `interval`; what is done takes one. So no more than
// `burst` happen at once, and in the long run no more than one in each interval. Kept as one instant, the one at which
// the bucket will be full again: the generic cell rate algorithm of ATM networks (ITU-T I.371).
#pragma once

#include "weir/core/time.hpp"

#include <algorithm>
#include <cstdint>

namespace weir {

template <std::int64_t interval_ns, std::uint32_t burst>
class TokenBucket {
    static_assert(interval_ns > 0 && burst > 0);

public:
    static constexpr Duration interval{interval_ns};

    /// Takes a token; false if there is none.
    [[nodiscard]] bool take(Instant now) noexcept {
        if (wait(now) > Duration::zero()) return false;
        full_at_ = std::max(full_at_, now) + interval;
        return true;
    }
    /// Takes so many besides, though they are not there: those that are to come. For what turned out to be dear.
    void take_more(Instant now, std::int64_t tokens) noexcept {
        full_at_ = std::max(full_at_, now) + interval * tokens;
    }
    /// How long until there is a token; zero: there is one.
    [[nodiscard]] Duration wait(Instant now) const noexcept {
        constexpr Duration room = interval * (burst - 1);
        return std::max(full_at_ - now - room, Duration::zero());
    }

    /// When it will be full, or was: the later, the more was taken lately.
    [[nodiscard]] Instant full_at() const noexcept { return full_at_; }

private:
    Instant full_at_{};
};

}  // namespace weir
