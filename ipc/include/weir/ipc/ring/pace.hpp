// SPDX-License-Identifier: MIT
//
// Whether a side that has used up what it knew of should give the peer a moment before it looks again.
//
// Each look takes the line of the peer's cursor, which the peer has to get back before it can go on. A side that is a
// little faster than its peer would look for every single record, and both would mostly wait for that line. So where
// looks keep finding more than one record, the next one is put off a little, and finds many. Where they find one, as
// in request and reply, nothing is put off; neither is it after a look that was put off in vain.
#pragma once

#include <cstdint>

namespace weir::ipc::ring {

class Pace {
public:
    /// A look found what was wanted, and maybe more than one record.
    void found(bool more) noexcept { streak_ = !more ? 0 : streak_ < steady ? streak_ + 1 : steady; }
    /// A look that was put off found nothing.
    void in_vain() noexcept { streak_ = 0; }
    /// Records come one after the other: the next look is put off.
    [[nodiscard]] bool streams() const noexcept { return streak_ >= steady; }

private:
    static constexpr std::uint32_t steady = 4;

    std::uint32_t streak_ = 0;
};

}  // namespace weir::ipc::ring
