// SPDX-License-Identifier: MIT
//
// Sleeping and being woken: the semaphores of a topic without their counts.
//
// Whoever is about to sleep stores an odd epoch in its own memory, fences, and looks once more at what it waits for.
// Whoever stores that, loads the epoch afterwards, behind a fence: odd, and not the one that was rung for last, means
// that the sleeper has to be rung. Without either fence both may miss each other. Epochs go on from what is stored, so
// an old announcement is never taken for a new one, and each is rung for once.
#pragma once

#include "weir/ipc/topic/atomics.hpp"

namespace weir::ipc::topic {

/// The own epoch.
template <class Atomics>
class Sleeper {
public:
    using Word = typename Atomics::Word;

    Sleeper() noexcept = default;
    explicit Sleeper(Word& epoch) noexcept : word_(&epoch), epoch_(Atomics::load_relaxed(epoch)) {}

    /// The caller looks again before it sleeps.
    void announce() noexcept {
        epoch_ += (epoch_ & 1U) == 0 ? 1 : 2;  // always a new one, so that it is rung for
        Atomics::store_relaxed(*word_, epoch_, Site::announce);
        Atomics::fence(Fence::after_announce);  // pairs with after_tell in who is waited for
    }
    /// Late news of this only cost the other side a ring.
    void withdraw() noexcept {
        if ((epoch_ & 1U) == 0) return;
        ++epoch_;
        Atomics::store_relaxed(*word_, epoch_, Site::withdraw);
    }

private:
    Word* word_ = nullptr;
    std::uint32_t epoch_ = 0;
};

/// Another one's epoch.
template <class Atomics>
class Waker {
public:
    using Word = typename Atomics::Word;

    Waker() noexcept = default;
    explicit Waker(const Word& epoch) noexcept : word_(&epoch) {}

    /// Whether it has to be rung: true once for each of its sleeps. Without Fence::after_tell before it, one that is
    /// just falling asleep may be missed; one that sleeps is not.
    [[nodiscard]] bool asleep() noexcept {
        const std::uint32_t epoch = Atomics::load_relaxed(*word_);
        if ((epoch & 1U) == 0 || epoch == rung_) return false;
        rung_ = epoch;
        return true;
    }

private:
    const Word* word_ = nullptr;
    std::uint32_t rung_ = 0;  // 0 is even and never rung for
};

}  // namespace weir::ipc::topic
